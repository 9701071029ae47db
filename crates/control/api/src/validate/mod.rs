//! Validation of requests: parses fields, or returns which field is wrong and what is allowed.
//!
//! Owns the ranges, defaults and error codes of the contract (section 2). Pure: no store, no clock.
//! Messages begin with the path of the field, and state its value and the allowed values.

pub(crate) mod aliases;
pub(crate) mod async_events;
pub(crate) mod code;
pub(crate) mod command_line;
pub(crate) mod concurrency;
pub(crate) mod configuration;
pub(crate) mod creation;
pub(crate) mod destinations;
pub(crate) mod domains;
pub(crate) mod environment;
pub(crate) mod event;
mod extras;
pub(crate) mod filters;
pub(crate) mod given;
pub(crate) mod mounts;
pub(crate) mod names;
pub(crate) mod paging;
pub(crate) mod paths;
pub(crate) mod provisioned;
pub(crate) mod scalars;
mod secret_files;
mod sessions;
pub(crate) mod times;
pub(crate) mod triggers;

use types::{ApiError, ErrorCode};

/// Longest quotation of a client's text in a message, in characters.
const QUOTED_CHARS_MAX: usize = 100;

/// An error about one field.
pub(crate) fn invalid(code: ErrorCode, field: &str, problem: impl std::fmt::Display) -> ApiError {
    ApiError::new(code, format!("{field}: {problem}"))
}

/// A client's text for a message: quoted, and truncated if long.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// Refuses a missing required field.
pub(crate) fn required<T>(field: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::new(ErrorCode::MISSING_PARAMETER, format!("{field}: it is required")))
}

/// A text that is not empty; an empty one counts as omitted.
pub(crate) fn filled(value: Option<&str>) -> Option<&str> {
    value.filter(|text| !text.is_empty())
}
