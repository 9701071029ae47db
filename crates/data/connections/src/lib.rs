//! HTTP connections of strangers, and what they may cost: how many there are, how long each may be in each state, which one
//! makes room, and how many frames that carry nothing are read.
//!
//! Owns sockets from `accept` until HTTP hands a request over. Must not know what requests are for.
//!
//! [`Acceptor`] takes connections into one table ([`Connections`]); [`Connection::serve`] speaks HTTP over each while
//! [`Activity`] marks what it does. Decisions are pure: `activity` (how long), `eviction` (which one), `frames` (how many).
#![forbid(unsafe_code)]

mod accept;
mod activity;
mod client_io;
mod connection;
mod eviction;
mod frames;
mod metered;
mod table;

pub use accept::{Accepted, Acceptor};
pub use activity::{Activity, Timeouts, Turn};
pub use connection::Connection;
pub use frames::{FrameLimits, TooManyFrames};
pub use metered::Metered;
pub use table::{Connections, Meters};
