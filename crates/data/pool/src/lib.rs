//! Which instance serves a request: leases, cold starts, reuse, and when idle instances stop.
//!
//! Owns every running instance through the [`Launch`] trait. Must not know containers, images or HTTP.
//!
//! ```text
//! lease ──> ledger (per version): a free slot? ── yes ──> Lease ── drop ──> the next waiter, or idle
//!                │ no                                                            │ freeze_after_ms: frozen
//!                │                                                               │ keep_idle_s
//!                └─> wait ──> capacity: room? ── yes ──> start ──> instance <────┘ stop
//!                                  │ no
//!                                  └─> stop idle instances of others, wait for one to come free, or refuse
//! ```
//! The decisions are pure: `ledger` says which slot serves whom and which instance rests, `scale` whether an instance may be
//! started, `rate` whose starts come first, `backoff` when a version that failed is tried again, `demand` how many calls need now and soon, `keep` how long an idle one is kept, `idle` which ones make room. The
//! other files act on them.
#![forbid(unsafe_code)]

mod backoff;
mod check;
mod claims;
mod config;
mod demand;
mod error;
mod handle;
mod idle;
mod instance;
mod keep;
mod launch;
mod ledger;
mod past;
mod provisioned;
mod queue;
mod quota;
mod rate;
mod ready;
mod refusal;
mod ride;
mod scale;
mod session;
mod sessions;
mod shared;
mod start;
mod target;
mod upkeep;
mod usage;
mod version;

pub use check::Checked;
pub use config::Config;
pub use demand::{Demand, Need};
pub use error::LeaseError;
pub use handle::Pool;
pub use instance::{Instance, Lease};
pub use keep::{Plan, Worth};
pub use launch::{BoxFuture, ColdStart, Ended, Launch, LaunchError, Launched, NetworkBytes, Process};
pub use refusal::Refusal;
pub use session::{InvalidSessionKey, SESSION_KEY_BYTES_MAX, SessionKey};
pub use usage::{FunctionUsage, ProvisionedState, ProvisionedStatus, Usage};
