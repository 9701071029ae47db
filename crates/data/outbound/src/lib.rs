//! Sends results to HTTP endpoints chosen by clients and owners of functions, without exposing this
//! machine's network to them (server-side request forgery).
//!
//! A URL may only name hosts that the settings list. A name is resolved once for each request,
//! every returned address is tested, and the connection is made to one of exactly those: a name
//! that resolves differently the next time (DNS rebinding) has no effect. No redirects, no proxies,
//! no idle connections; time and response are bounded.
//!
//! How to use: [`Client::new`] with `[outbound]` and `[connections.NAME]` of the settings,
//! [`Client::check`] when a URL is given, [`Client::post`] for each attempt.
#![forbid(unsafe_code)]
// Tests may unwrap.
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
