//! A version becomes a running instance on this machine: implements [`pool::Launch`] with images,
//! sandboxes and logs.
//!
//! Owns the order of a start and what each failure of it means to the caller.
//!
//! ```text
//! rootfs of the pinned digest -> argv, environment, limits -> output attached -> sandbox -> port
//! open -> Launched
//!        444, 447                       445                      449             445 449     405 434 446
//! ```
#![forbid(unsafe_code)]
// A test stops at the first thing that is not as it should be.
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
