//! Triggers: which kinds there are, what each needs, and the events that they make.
//!
//! A kind is one file that implements [`Source`], and a line in `kinds.rs`. It reads and checks
//! `TriggerDesc`, and makes the payload of an event from what happened. What is common to all of
//! them is in `description` (options) and `kinds` (which there are).
//!
//! How to use: [`Sources::new`] with the `[triggers]` settings, [`Sources::find`] by the API's
//! `Type`, [`description::read`] for a `TriggerDesc`.
#![forbid(unsafe_code)]
// A test stops at the first thing that is not as it should be.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod config;
pub mod description;
mod kinds;
mod source;
mod timer;

pub use config::Config;
pub use kinds::Sources;
pub use source::{Occurrence, Source, invalid};
