//! Actions that run functions and look at runs.

pub(super) mod function_logs;
pub(super) mod invoke;
pub(super) mod request_status;
