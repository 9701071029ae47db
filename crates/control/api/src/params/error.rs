//! Messages of errors about one parameter. Pure.

use serde_path_to_error::{Path, Segment};
use types::{ApiError, ErrorCode};

/// Longest quotation of a client's text in an error, in characters.
const SHOWN_CHARS_MAX: usize = 100;

/// An `InvalidParameter` that begins with the field's path in the API's notation (`A.B.0.C`).
pub(super) fn describe(path: &Path, problem: &str) -> ApiError {
    // serde_json appends a position in the body, which is less useful than the path.
    let problem = in_words(problem.rsplit_once(" at line ").map_or(problem, |(problem, _)| problem));
    let segments: Vec<String> = path
        .iter()
        .map(|segment| match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.clone(),
            Segment::Enum { variant } => variant.clone(),
            Segment::Unknown => "?".to_owned(),
        })
        .collect();
    let message = if segments.is_empty() { problem } else { format!("{}: {problem}", segments.join(".")) };
    ApiError::new(ErrorCode::INVALID_PARAMETER, message)
}

/// Translates serde's names of types (`invalid type: sequence, expected struct Code`) into the
/// API's.
fn in_words(problem: &str) -> String {
    let Some((found, expected)) = problem.rsplit_once(", expected ") else { return shortened(problem) };
    let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
    let found = match found {
        "sequence" => "a list",
        "map" => "an object",
        found => found,
    };
    let expected = match expected {
        "i64" => "an integer",
        "u64" => "an integer of 0 or more",
        "a sequence" => "a list",
        expected if expected.starts_with("struct ") => "an object",
        expected => expected,
    };
    format!("{} is given, but {expected} is expected", shortened(found))
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
