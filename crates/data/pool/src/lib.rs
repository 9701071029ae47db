//! Which instance serves a request: leases, cold starts, reuse, and when idle instances stop.
//!
//! Owns every running instance through the [`Launch`] trait.
//!
//! ```text
//! lease ──> instance table (per version): a free slot? ── yes ──> Lease ── drop ──> the next waiter, or idle
//!                │ no                                                               │ freeze_after_ms: frozen
//!                │                                                                  │ keep-alive policy
//!                └─> wait ──> admission: room? ── yes ──> start ──> instance <──────┘ stop
//!                                  │ no
//!                                  └─> evict idle instances of others, wait for one to come free, or refuse
//! ```
//! Decisions are pure and live in `policy`; the other files act on them.
#![forbid(unsafe_code)]

mod check;
mod config;
mod error;
mod handle;
mod instance;
mod launch;
mod maintenance;
mod policy;
mod prewarm;
mod ride;
mod session_key;
mod sessions;
mod shared;
mod start;
mod usage;
mod version;

pub use check::Checked;
pub use config::Config;
pub use error::LeaseError;
pub use handle::Pool;
pub use instance::{Instance, Lease};
pub use launch::{BoxFuture, ColdStart, Ended, Launch, LaunchError, Launched, NetworkBytes, Process};
pub use policy::admission::limit::LimitExceeded;
pub use policy::forecast::{Forecast, Need};
pub use policy::keep_alive::{KeepAlive, KeepAlivePolicy};
pub use session_key::{InvalidSessionKey, SESSION_KEY_BYTES_MAX, SessionKey};
pub use usage::{FunctionUsage, ProvisionedState, ProvisionedStatus, Usage};
