//! Which instance serves a request: leases, cold starts, reuse, and when idle instances stop.
//!
//! Owns every running instance through the [`Launch`] trait.
//!
//! ```text
//! lease ──> instance table of the version: a free slot? ── yes ──> Lease ── drop ──> the next
//!               │ no                                                      waiter, or idle
//!               └─> wait ──> admission: room? ── yes ──> start ──> instance
//!                                │ no                                 └─ idle: freeze_after_ms: frozen
//!                                │                                             keep-alive policy: stop
//!                                └─> evict idle instances of others, wait for a slot, or refuse
//! ```
//! `policy` has the decisions (pure); `state` is one version's state machine: it takes events and
//! `now` and returns effects; `driver` performs them. `lease` is the handle of the pool's user.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::duplicate_mod, reason = "loom_tests compiles two files with other primitives"))]

mod acquire;
mod check;
mod claim_count;
mod config;
mod driver;
mod error;
mod freezer;
mod handle;
mod instance;
mod launch;
mod lease;
mod lock;
mod policy;
mod replay;
mod session_key;
mod session_slot;
mod set_aside;
mod state;
mod sync;
mod usage;
mod version;

#[cfg(test)]
mod loom_tests;

// Unit tests share the fixtures of tests/, which name the crate as external code does.
#[cfg(test)]
extern crate self as pool;
#[cfg(test)]
#[path = "../tests/pool/support/mod.rs"]
#[allow(dead_code, reason = "not all that tests share is used here")]
mod support;

pub use check::Checked;
pub use config::Config;
pub use error::LeaseError;
pub use handle::Pool;
pub use instance::Instance;
pub use launch::{BoxFuture, ColdStart, ExitStatus, Launch, LaunchError, Launched, NetworkBytes, Process};
pub use lease::Lease;
pub use policy::admission::limit::LimitExceeded;
pub use replay::{Replay, Replayed};
pub use session_key::{InvalidSessionKey, SESSION_KEY_BYTES_MAX, SessionKey};
pub use set_aside::SetAside;
pub use usage::{FunctionUsage, ProvisionedState, ProvisionedStatus, Usage};
