//! The registry over real HTTP: every endpoint, every refusal. Must not know the registry's insides, except for the
//! files that its documentation draws.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod arrivals;
mod auth;
mod blobs;
mod flow;
mod lists;
mod manifests;
mod referrers;
mod restart;
mod server;
mod stalled;
mod untagged;
mod uploads;
