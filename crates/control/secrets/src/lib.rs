//! Secrets of functions: sealed with the installation's key, kept in the store, decrypted when an
//! instance starts.
//!
//! A value is sealed as in `credentials` (XChaCha20-Poly1305) with its namespace, name and version
//! as associated data, so that it cannot be moved to another row of the table. Values in memory are
//! sealed too, except during a start.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // A failed `unwrap` is a failed test.

mod audit;
mod config;
mod error;
mod handle;

pub use config::Config;
pub use error::Error;
pub use handle::{Reader, Secrets};
