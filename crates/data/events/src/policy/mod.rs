//! The decisions, pure: what follows a run, and whose event runs next.

pub(crate) mod concurrency;
pub(crate) mod pace;
pub(crate) mod retry;
pub(crate) mod round_robin;
