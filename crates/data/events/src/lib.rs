//! The durable queue of events: an event is accepted once committed, run until one run succeeds,
//! and kept as a dead letter when none does.
//!
//! ```text
//! accept ──> group commit ──> waiting ──> claimed ──> Run ──> finished
//!            (one thread)        ^           │                (row moves to `runs`)
//!                                └── retry ──┤
//!                                            └──> dead letter
//! ```
//! `policy` decides (pure: retries, fairness, concurrency), `sqlite` has the statements, `writer`
//! commits, `dispatcher` acts on the decisions, `backlog` counts waiting events.
//!
//! How to use: [`Events::open`] with an implementation of [`Run`], then [`Events::accept`]. An
//! event whose acceptance was returned survives a kill of the process at any moment; it runs at
//! least once, and twice only if the process ended between its claim and the commit of its end.
#![forbid(unsafe_code)]
// Tests may unwrap.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod accepting;
mod array;
mod backlog;
mod checkpoints;
mod config;
mod dead_letters;
mod delivering;
mod delivery;
mod dispatcher;
mod error;
mod event;
mod growth;
mod handle;
mod invocation;
mod maintenance;
mod own_files;
mod policy;
mod refusals;
mod repeat;
mod room;
mod run;
mod running;
mod sending;
mod sqlite;
mod web_answer;
mod web_request;
mod web_run;
mod writer;

pub use config::Config;
pub use delivery::{CHAIN_DEPTH_MAX, Destination, Destinations, NotADestination};
pub use error::Error;
pub use event::{
    Accepted, Address, DeadLetter, DeadLetters, EventStatus, InvokeType, ListQuery, Listed, NewEvent, RunState,
    SourceKey,
};
pub use handle::Events;
pub use invoke::Cancellation;
pub use repeat::Repeat;
pub use run::{Attempt, BoxFuture, Outcome, Run};
pub use web_answer::WebAnswer;
pub use web_request::{NotAWebRequest, WebRequest};
