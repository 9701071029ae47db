//! The decisions, pure: the outcome of a run, and whose event runs next.

pub(crate) mod concurrency;
pub(crate) mod rate_limit;
pub(crate) mod retry;
pub(crate) mod round_robin;
