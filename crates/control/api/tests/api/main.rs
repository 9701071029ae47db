//! The API over HTTP, in process, on a free port, with a database and logs of its own and instances
//! that are servers in this process. What deploying would do, the tests do themselves: they end
//! preparations.
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
