//! Reconciles the image store with the store: prepares the image of a version in state `Creating`,
//! `Updating` or `Publishing` and starts an instance of it, then marks it `Active`, or failed with
//! the reason; releases images that no version serves.
//!
//! One task owns the state. A signal of the store or a timer starts a pass; a pass reads the state,
//! decides in `plan` (pure), and acts. Every step is idempotent, so the first pass after a start
//! recovers from a crash.
//!
//! # Owners
//! Pins of a preparation have the owner `function/<function id>/<version>/<generation>`. A pass
//! unpins owners that are neither serving, pending nor in preparation, including those that a crash
//! left. For a time after a start only deletions unpin.
//!
//! A second task, `repair`, keeps serving images complete: it restores lost pins, and prepares
//! missing or damaged images again by digest. It changes no state of versions.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // A failed `unwrap` is a failed test.

mod check;
mod config;
mod error;
mod handle;
mod owner;
mod plan;
mod preparation;
mod prepare;
mod progress;
mod repair;
mod scope;
mod start_check;
mod task;

pub use config::Config;
pub use handle::Deploy;
pub use prepare::{Prepare, PrepareRequest, Prepared, Progress, Step};
pub use start_check::{StartCheck, StartError};
