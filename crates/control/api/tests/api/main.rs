//! The API over HTTP, in process, on a free port, with its own database and logs. Instances are
//! servers in this process. The tests end preparations themselves, in place of `deploy`.
#![allow(clippy::unwrap_used)] // A failed `unwrap` is a failed test.

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
