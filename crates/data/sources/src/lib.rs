//! Triggers: the supported kinds, their descriptions, and the events that they create.
//!
//! A kind is one file that implements [`Source`], and a line in `kinds.rs`. It parses and checks
//! `TriggerDesc`, and creates the payload of an event from an occurrence. Common code is in
//! `description` (options) and `kinds` (the list of kinds).
//!
//! ```text
//! catalog ──change sets──> timers::agenda ──due──> timers::delivery ──accept_once──> events
//!                          (heap, one task)        (key: trigger and time)
//! ```
//!
//! `polling` lists the buckets of stores that send no notifications: [`Polling::start`].
//!
//! How to use: [`Sources::new`] with the `[triggers]` settings, [`Sources::find`] by the API's
//! `Type`, [`description::read`] for a `TriggerDesc`; [`Timers::start`] runs the timers.
#![forbid(unsafe_code)]
// Tests may unwrap.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cloudevents;
mod config;
mod cos;
pub mod description;
mod hook;
mod http;
mod kinds;
mod loops;
mod polling;
mod rates;
mod source;
mod timer;
mod timers;
mod webhook;

pub use config::{Config, WrongSetting};
pub use kinds::Sources;
pub use polling::{Polling, PollingParts};
pub use source::{Occurrence, Source, invalid};
pub use timers::{Clock, Timers};
