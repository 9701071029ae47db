//! Brings what the store says and what the image store keeps together: a version goes from
//! `Creating`, `Updating` or `Publishing` to `Active` by having its image prepared and an instance
//! of it started, or to a failed state with the reason; what nothing serves any more is released.
//!
//! One task owns everything. A signal of the store or a timer begins a pass; a pass reads what
//! there is, decides in `plan` (pure), and acts. Every step can be done again, so a start after a
//! crash needs nothing but its first pass.
//!
//! # Owners
//! What a preparation pins belongs to `function/<function id>/<version>/<generation>`. A pass
//! unpins all of these that are neither served, nor pending, nor being prepared; so does the pass
//! after a crash between any two steps. Soon after a start only deletions unpin.
//!
//! A second task, `repair`, keeps what is served whole: it pins again what lost its pin, and
//! prepares again by its digest what is missing or was found damaged. It changes no state.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may fail where it stands.

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
