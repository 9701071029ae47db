//! The event of a call, and options for its answer.

use std::collections::BTreeMap;

use bytes::Bytes;
use invoke::RoutingKey;
use serde::de::IgnoredAny;
use types::limits::{ASYNC_EVENT_BYTES_MAX, JOB_EVENT_BYTES_MAX, ROUTING_KEY_BYTES_MAX};
use types::{ApiError, CatalogVersion, ErrorCode};

use super::aliases::KEY_PREFIX;
use super::{filled, invalid, quoted};

/// The event of a call without one.
const EMPTY_EVENT: &str = "{}";

/// Validates the event in a field, of at most `bytes_max` bytes.
pub(crate) fn payload(field: &str, given: Option<String>, bytes_max: usize) -> Result<Bytes, ApiError> {
    let Some(text) = given.filter(|text| !text.is_empty()) else {
        return Ok(Bytes::from_static(EMPTY_EVENT.as_bytes()));
    };
    if text.len() > bytes_max {
        let problem = format!("the event has {} bytes; at most {bytes_max} are allowed", text.len());
        return Err(invalid(ErrorCode::INVALID_PARAMETER_REQUEST_TOO_LARGE, field, problem));
    }
    let checked: Result<IgnoredAny, _> = serde_json::from_str(&text);
    checked
        .map_err(|error| invalid(ErrorCode::INVALID_VALUE_PARAM, field, format!("the event is not JSON: {error}")))?;
    Ok(Bytes::from(text))
}

/// Refuses an asynchronous event that is too large for its version.
pub(crate) fn check_size(what: &str, payload: &[u8], version: &CatalogVersion) -> Result<(), ApiError> {
    let (bytes_max, why) = match version.spec.image.is_job() {
        true => (JOB_EVENT_BYTES_MAX, " in a job image, whose instances have it in a variable"),
        false => (ASYNC_EVENT_BYTES_MAX, " in an asynchronous call"),
    };
    if payload.len() > bytes_max {
        let problem = format!("{what} has {} bytes; at most {bytes_max} are allowed{why}", payload.len());
        return Err(ApiError::new(ErrorCode::INVALID_PARAMETER_REQUEST_TOO_LARGE, problem));
    }
    Ok(())
}

/// `LogType`: whether the answer includes the tail of the log.
pub(crate) fn wants_tail(given: Option<&str>) -> Result<bool, ApiError> {
    match filled(given) {
        None | Some("None") => Ok(false),
        Some("Tail") => Ok(true),
        Some(other) => {
            let problem = format!("{} is neither None nor Tail", quoted(other));
            Err(invalid(ErrorCode::INVALID_VALUE, "LogType", problem))
        }
    }
}

/// Whether a call waits for its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvocationType {
    /// Waits for the result.
    RequestResponse,
    /// Is answered as soon as the event is durable.
    Event,
}

/// `InvocationType`.
pub(crate) fn invocation_type(given: Option<&str>) -> Result<InvocationType, ApiError> {
    match filled(given) {
        None | Some("RequestResponse") => Ok(InvocationType::RequestResponse),
        Some("Event") => Ok(InvocationType::Event),
        Some(other) => {
            let problem = format!("{} is neither RequestResponse nor Event", quoted(other));
            Err(invalid(ErrorCode::INVALID_VALUE, "InvocationType", problem))
        }
    }
}

/// `RoutingKey`, matched by rules of an alias: a JSON object of texts. Names may have the prefix of
/// rule keys.
pub(crate) fn routing_key(given: Option<&str>) -> Result<RoutingKey, ApiError> {
    let Some(text) = filled(given) else { return Ok(RoutingKey::default()) };
    let wrong = |problem: String| invalid(ErrorCode::INVALID_VALUE_PARAM, "RoutingKey", problem);
    if text.len() > ROUTING_KEY_BYTES_MAX {
        return Err(wrong(format!("it has {} bytes; at most {ROUTING_KEY_BYTES_MAX} are allowed", text.len())));
    }
    let entries: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
        wrong(format!(
            "it is not a JSON object whose values are texts, such as {{\"{KEY_PREFIX}user\":\"1\"}}: {error}"
        ))
    })?;
    let header = |(name, value): (String, String)| (name.strip_prefix(KEY_PREFIX).unwrap_or(&name).to_owned(), value);
    Ok(RoutingKey::new(entries.into_iter().map(header)))
}

#[cfg(test)]
mod tests {
    use types::limits::SYNC_EVENT_BYTES_MAX;

    use super::*;

    fn code<T>(result: Result<T, ApiError>) -> &'static str {
        result.map_or_else(|error| error.code.name, |_| "")
    }

    #[test]
    fn an_event_is_any_json() {
        for good in ["{}", "[1]", "null", "\"text\"", " 1 "] {
            assert_eq!(payload("Event", Some(good.to_owned()), SYNC_EVENT_BYTES_MAX).expect(good), good);
        }
        assert_eq!(payload("Event", None, 10).expect("default"), "{}");
        assert_eq!(payload("Event", Some(String::new()), 10).expect("default"), "{}");
        for bad in ["{", "hello", "{} {}", "'a'"] {
            assert_eq!(code(payload("Event", Some(bad.to_owned()), 10)), "InvalidParameterValue.Param", "{bad}");
        }
    }

    #[test]
    fn an_event_has_the_bytes_of_its_bound_at_most() {
        let event = |bytes: usize| Some(format!("\"{}\"", "x".repeat(bytes - 2)));
        for bytes_max in [SYNC_EVENT_BYTES_MAX, ASYNC_EVENT_BYTES_MAX] {
            let too_large = code(payload("Event", event(bytes_max + 1), bytes_max));
            assert_eq!(code(payload("Event", event(bytes_max), bytes_max)), "");
            assert_eq!(too_large, "InvalidParameter.RequestTooLarge");
        }
    }

    #[test]
    fn words_of_a_call_are_checked() {
        assert_eq!(
            (wants_tail(None), wants_tail(Some("None")), wants_tail(Some("Tail"))),
            (Ok(false), Ok(false), Ok(true))
        );
        assert_eq!(code(wants_tail(Some("tail"))), "InvalidParameterValue");
        assert_eq!(invocation_type(None), Ok(InvocationType::RequestResponse));
        assert_eq!(invocation_type(Some("RequestResponse")), Ok(InvocationType::RequestResponse));
        assert_eq!(invocation_type(Some("Event")), Ok(InvocationType::Event));
        assert_eq!(code(invocation_type(Some("Sync"))), "InvalidParameterValue");
    }

    #[test]
    fn a_routing_key_is_a_small_object_of_texts() {
        let key = routing_key(Some(r#"{"invoke.headers.X-User":"1","plan":"pro"}"#)).expect("valid");
        assert_eq!((key.get("x-user").as_deref(), key.get("plan").as_deref()), (Some("1"), Some("pro")));
        assert_eq!(routing_key(None), Ok(RoutingKey::default()));
        for bad in ["[]", "{\"user\":1}", "user"] {
            assert_eq!(code(routing_key(Some(bad))), "InvalidParameterValue.Param", "{bad}");
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(ROUTING_KEY_BYTES_MAX));
        assert_eq!(code(routing_key(Some(&long))), "InvalidParameterValue.Param");
    }
}
