//! One invocation from request to result: lease, HTTP to the instance, time limit, status code, log lines, metrics.
//!
//! Owns what passes between a caller and an instance. Must not know images, SQL, or how instances are made.
//!
//! ```text
//! event ─┐                    ┌─> lease (acquire) ─> connection kept or new (exchange) ─> answer's head ─┐
//!        ├─> invocation ──────┘                                                                          │
//! web ───┘       ^                                    event: body read whole ──┐                         │
//!                └── log lines, record, metrics <──── web: body streams (download) <─────────────────────┘
//! ```
//! Pure, and tested as tables: `failure` (texts and status codes), `framing` (where messages end), `headers` (what passes and
//! what does not),
//! `report` (log lines), `route` (which of an alias's versions a call gets).
#![forbid(unsafe_code)]

mod acquire;
mod call;
mod config;
mod context;
mod event;
mod failure;
mod framing;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod grpc;
mod handle;
mod headers;
mod invocation;
mod limit;
mod metering;
mod record;
mod recorded_launch;
mod report;
mod request_body;
mod response_body;
mod results;
mod route;
mod session;
mod upstream;
mod web;
mod websocket;

pub use call::{Body, BoxError, EventCall, EventResult, Platform, RequestBytesMax, Source, Target};
pub use config::Config;
pub use handle::{CheckedStart, Invoker, Parts};
pub use pool::{ProvisionedState, ProvisionedStatus};
pub use route::RoutingKey;
