//! Sends results to HTTP endpoints that clients and owners of functions name, without lending them
//! this machine's place in its network (server-side request forgery).
//!
//! A URL leads only to hosts that the settings list. A name is resolved once for each request,
//! every address of the answer is tested, and the connection is made to one of just those: a name
//! that means something else the next time (DNS rebinding) changes nothing. No redirects, no
//! proxies, no idle connections; time and answer are bounded.
//!
//! How to use: [`Client::new`] with `[outbound]` and `[connections.NAME]` of the settings,
//! [`Client::check`] when a URL is given, [`Client::post`] for each attempt.
#![forbid(unsafe_code)]
// A test stops at the first thing that is not as it should be.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
mod client;
mod config;
mod error;
mod hosts;
mod resolver;

pub use client::{Client, Response};
pub use config::{Config, Connection};
pub use error::{Error, Refused};
pub use registry_client::AddressRange;
pub use resolver::{Looking, Lookup};
