//! HTTP connections of untrusted clients, from `accept` until a request is handed over: their
//! number, their timeouts, their eviction, and their HTTP/2 frame rate.
//!
//! [`Acceptor`] accepts connections into one table ([`Connections`]) and hands them to [`Workers`];
//! [`Connection::serve`] speaks HTTP on each and records its events in the connection's
//! [`ConnectionState`]. Decisions are pure: `timeouts`, `eviction`, `frames`.
#![forbid(unsafe_code)]

mod accept;
mod client_io;
mod connection;
mod eviction;
mod frames;
mod gated;
mod incoming;
mod metered;
mod table;
mod timeouts;
mod workers;

pub use accept::{Accepted, Acceptor};
pub use client_io::HeadRefusal;
pub use connection::Connection;
pub use frames::{FrameLimits, TooManyFrames};
pub use incoming::{Handed, Incoming};
pub use metered::Metered;
pub use table::{Connections, TableMetrics};
pub use timeouts::{ConnectionState, RequestGuard, Timeouts};
pub use workers::{WorkerId, Workers};
