//! The API over HTTP, in process, on a free port, with its own database and logs. Instances are
//! servers in this process. The tests end preparations themselves, in place of `deploy`.
#![allow(clippy::unwrap_used)] // A test stops at the first thing that is not as it should be.

mod bad_requests;
mod concurrency;
mod domains;
mod events;
mod functions;
mod held;
mod invocations;
mod listing;
mod namespaces;
mod signatures;
mod support;
mod triggers;
mod versions;
