//! Actions that run functions and query runs.

pub(super) mod array;
mod chain;
pub(super) mod function_logs;
mod instance_logs;
pub(super) mod invoke;
mod log_fields;
pub(super) mod log_lines;
pub(super) mod request_status;
pub(super) mod result;
