//! The registry over real HTTP: every endpoint and every error. Tests see only its API and the
//! files drawn in its documentation.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A failed `unwrap` is a failed test.

mod auth;
mod blobs;
mod flow;
mod lists;
mod manifests;
mod push_events;
mod referrers;
mod restart;
mod server;
mod stalled;
mod untagged;
mod uploads;
