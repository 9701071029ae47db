//! Requests to instances: connections and their selection, retries, and limits of response heads.
//!
//! ```text
//! send ──> idle connection, or connect ──> Connection::send ──> response head
//! send_h2 ──> the instance's one HTTP/2 connection ──────────┘
//! guard ─> all of it within the deadline of the invocation, while the instance runs
//! ```

mod client;
mod connect;
mod connection;
mod early_response;
mod error;
mod guard;
mod h2_connection;
mod head_writer;
mod idle_connections;
mod in_flight;
mod inline_waker;
#[cfg(test)]
mod inline_waker_tests;
mod interim;
mod response_head;
mod retry;
mod send;
mod send_h2;
mod socket;
mod state;
mod sync;

pub(crate) use client::http1;
pub(crate) use connect::open_stream;
pub(crate) use connection::Connection;
pub(crate) use error::{ResponseError, UpstreamError};
pub(crate) use guard::{Stopped, guarded};
pub(crate) use idle_connections::IdleSweep;
pub(crate) use in_flight::{Abandoned, InFlight};
pub(crate) use interim::InterimResponses;
pub(crate) use send::{poll_frame, read_whole, send};
pub(crate) use send_h2::send_h2;
pub(crate) use socket::Socket;
pub(crate) use state::UpstreamState;
