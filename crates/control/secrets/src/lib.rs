//! Secrets of functions: sealed with the installation's key, kept in the store, opened when an
//! instance starts.
//!
//! A value is sealed as in `credentials` (XChaCha20-Poly1305), bound to its namespace, name and
//! version: moved to another row of the table it does not open. In memory values are sealed, too,
//! but for the moment of a start.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may fail where it stands.

mod audit;
mod config;
mod error;
mod handle;

pub use config::Config;
pub use error::Error;
pub use handle::{Reader, Secrets};
