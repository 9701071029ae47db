//! One invocation from request to result: lease, upstream request, time limit, status code, log
//! lines, metrics.
//!
//! ```text
//! resolve (target -> ResolvedCall) ─┬─> serve: match Protocol ─> http1 | grpc | websocket ─┐
//!                                   └─> event ─────────────────────────────────────────────┤
//!                                                                                          v
//!        response_body | websocket::relay | EventResult <─ upstream::send <─ acquire (lease) <─ invocation
//! ```
//! [`Invoker::web`] takes requests, [`Invoker::event`] events. `invocation` owns the lease and the
//! record of both. Pure, and tested as tables: `failure` (texts and status codes), `framing` (where
//! messages end), `headers` (which are forwarded), `protocol`, `report` (log lines),
//! `route` (the choice between an alias's versions).
#![forbid(unsafe_code)]

mod acquire;
mod call;
mod call_chain;
mod cancellation;
mod chain;
mod clock;
mod config;
mod context;
mod deferred_records;
mod error_response;
mod event;
mod failure;
mod framing;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod grpc;
mod handle;
mod headers;
mod http1;
mod invocation;
mod limit;
mod metering;
mod protocol;
mod record;
mod recorded_launch;
mod report;
mod request_body;
mod resolve;
mod response_body;
mod results;
mod retry_after;
mod route;
mod run;
mod serve;
mod session;
mod upstream;
mod web_request;
mod web_response;
mod websocket;

pub use call::{Asynchronous, Body, BoxError, EventCall, EventResult, Installation, RequestBytesMax, Source, Target};
pub use cancellation::Cancellation;
pub use chain::{CHAIN_DEPTH, NotADepth, chain_depth, deeper};
pub use config::Config;
pub use handle::{CheckedStart, Invoker, Parts};
pub use pool::{ProvisionedState, ProvisionedStatus};
pub use protocol::Protocol;
pub use resolve::{ResolvedCall, Unresolved};
pub use response_body::CutOff;
pub use retry_after::parse as retry_after;
pub use route::RoutingKey;
