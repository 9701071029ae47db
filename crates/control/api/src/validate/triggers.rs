//! Triggers: what they have in common, whatever their type (contract 2.4).

use types::{ApiError, ErrorCode};

use super::{filled, invalid, quoted, required};

/// `TriggerName`. Names of buckets are among them, so dots are allowed.
pub(crate) fn name(given: Option<&str>, len_max: usize) -> Result<String, ApiError> {
    let text = required("TriggerName", filled(given))?;
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() <= len_max && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(inside) {
        return Ok(text.to_owned());
    }
    let problem = format!(
        "{} is not allowed; use 1 to {len_max} letters, digits, '-', '_' and '.', a letter or digit first",
        quoted(text)
    );
    Err(invalid(ErrorCode::INVALID_VALUE_TRIGGER_NAME, "TriggerName", problem))
}

/// `Enable`; `None` when nothing is said.
pub(crate) fn enable(given: Option<&str>) -> Result<Option<bool>, ApiError> {
    match filled(given) {
        None => Ok(None),
        Some("OPEN") => Ok(Some(true)),
        Some("CLOSE") => Ok(Some(false)),
        Some(other) => {
            let problem = format!("{} is neither OPEN nor CLOSE", quoted(other));
            Err(invalid(ErrorCode::INVALID_VALUE_ENABLE, "Enable", problem))
        }
    }
}

/// `CustomArgument`.
pub(crate) fn custom_argument(text: &str, bytes_max: usize) -> Result<String, ApiError> {
    if text.len() <= bytes_max {
        return Ok(text.to_owned());
    }
    let problem = format!("it has {} bytes; at most {bytes_max} are allowed", text.len());
    Err(invalid(ErrorCode::INVALID_VALUE_CUSTOM_ARGUMENT, "CustomArgument", problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_words_and_arguments_are_bounded() {
        let code = |result: Result<String, ApiError>| result.map_err(|error| error.code.name);
        assert_eq!(code(name(Some("bucket-1.cos.local"), 100)), Ok("bucket-1.cos.local".to_owned()));
        assert_eq!(code(name(None, 100)), Err("MissingParameter"));
        for bad in ["-a", "a b", "é", &"a".repeat(101)] {
            assert_eq!(code(name(Some(bad), 100)), Err("InvalidParameterValue.TriggerName"), "{bad}");
        }
        assert_eq!(
            (enable(None), enable(Some("OPEN")), enable(Some("CLOSE"))),
            (Ok(None), Ok(Some(true)), Ok(Some(false)))
        );
        assert_eq!(enable(Some("open")).expect_err("no word").code.name, "InvalidParameterValue.Enable");
        assert_eq!(code(custom_argument("abcd", 4)), Ok("abcd".to_owned()));
        assert_eq!(code(custom_argument("abcde", 4)), Err("InvalidParameterValue.CustomArgument"));
    }
}
