//! Starts a version as a running instance on this machine: implements [`pool::Launch`] with images,
//! sandboxes and logs.
//!
//! Owns the order of a start and maps each failure of it to a status for the caller.
//!
//! ```text
//! step                                  status codes of its failures
//! rootfs of the pinned digest           444, 447
//!   -> argv, environment, limits        445
//!   -> output attached                  449
//!   -> sandbox                          445 449
//!   -> port open -> Launched            405 434 446
//! ```
#![forbid(unsafe_code)]
// Tests may unwrap.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod argv;
mod class;
mod config;
mod environment;
mod failure;
mod launch;
#[cfg(test)]
mod launch_tests;
mod limits;
mod local;
#[cfg(test)]
mod local_tests;
mod machine;
mod network;
mod output;
mod process;
mod secrets;
mod stop;
#[cfg(test)]
mod testing;

pub use class::{RUNTIME_TAG, UnusableRuntime};
pub use config::Config;
pub use launch::Launcher;
pub use secrets::{SecretReader, SecretValues};
