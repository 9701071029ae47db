//! Formats of events that arrive over HTTP: signatures of webhooks, notifications of object stores,
//! CloudEvents, event patterns, and descriptions of triggers. Pure: bytes to values, the time is
//! passed in.
#![forbid(unsafe_code)]
// Tests may unwrap.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cloudevents;
pub mod function_url;
pub mod hook;
pub mod json;
pub mod object;
pub mod pattern;
pub mod signature;

/// Longest quotation of a sender's text in a message, in characters.
const QUOTED_CHARS_MAX: usize = 100;

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}
