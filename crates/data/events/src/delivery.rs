//! Deliveries at the end of an event: the result to a callback, and an envelope to the destinations
//! of its function. Pure.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use invoke::CHAIN_DEPTH;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use types::{FunctionName, RequestId};

use crate::event::Address;
use crate::policy::retry::Reason;
use crate::sqlite::claimed::Claimed;
use crate::sqlite::finish::End;
use crate::web_answer::WebAnswer;

/// Longest chain of events that led to a run, each caused by a run or the end of the previous one.
pub const CHAIN_DEPTH_MAX: u32 = 16;

/// The status of the function's response, or of the run where there is none.
const X_FUNCTION_STATUS: &str = "x-function-status";
/// Marks a truncated body.
const X_FUNCTION_BODY_CUT: &str = "x-function-body-truncated";

/// Destinations of a function's events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destinations {
    /// For events that succeed.
    pub on_success: Option<Destination>,
    /// For events that become dead letters or are terminated.
    pub on_failure: Option<Destination>,
    /// For the payloads of dead letters, unchanged.
    pub dead_letters: Option<Destination>,
}

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `fn:NAME`: a function of the same namespace, as an event of its own.
    Function(FunctionName),
    /// `http:NAME`: a connection of the settings.
    Connection(String),
    /// A caller's URL.
    Url(String),
}

/// A text that is not a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no destination; write fn:FUNCTION, or http:NAME for [connections.NAME] of the settings")]
pub struct NotADestination(pub String);

impl FromStr for Destination {
    type Err = NotADestination;

    fn from_str(text: &str) -> Result<Self, NotADestination> {
        let wrong = || NotADestination(text.to_owned());
        match text.split_once(':') {
            Some(("fn", name)) => name.parse().map(Self::Function).map_err(|_| wrong()),
            Some(("http", name)) if is_connection_name(name) => Ok(Self::Connection(name.to_owned())),
            _ => Err(wrong()),
        }
    }
}

fn is_connection_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(name) => write!(f, "fn:{name}"),
            Self::Connection(name) => write!(f, "http:{name}"),
            Self::Url(url) => write!(f, "url:{url}"),
        }
    }
}

impl Destination {
    /// Parses a stored destination.
    pub(crate) fn stored(text: &str) -> Result<Self, NotADestination> {
        match text.strip_prefix("url:") {
            Some(url) => Ok(Self::Url(url.to_owned())),
            None => text.parse(),
        }
    }

    /// The key by which concurrent deliveries are limited.
    pub(crate) fn host(&self) -> String {
        match self {
            Self::Url(url) => url.split('/').nth(2).unwrap_or_default().to_ascii_lowercase(),
            other => other.to_string(),
        }
    }
}

/// A delivery to a destination.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    /// Its own id: the same in each attempt and redrive, so that a receiver can recognize it.
    pub request_id: RequestId,
    /// The function whose event ended.
    pub address: Address,
    /// Number of events that led to it.
    pub depth: u32,
    pub destination: Destination,
    /// Headers of the request, with the id of the event that ended.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub accepted_ms: i64,
}

/// Outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Success,
    Aborted,
    Dead(Reason),
}

impl Ending {
    fn condition(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Aborted => "Aborted",
            Self::Dead(Reason::RetriesExhausted) => "RetriesExhausted",
            Self::Dead(Reason::Expired) => "EventAgeExceeded",
            Self::Dead(Reason::Refused) => "Refused",
            Self::Dead(Reason::Recoveries | Reason::CutOff) => "PlatformEnded",
            Self::Dead(Reason::ChainTooDeep) => "ChainTooDeep",
            Self::Dead(Reason::NotRepeated | Reason::Unreadable) => "Failed",
        }
    }
}

/// The last run of an event.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastRun {
    /// The function's response, or the error, not truncated.
    pub answer: String,
    /// The response of a web function, in the form for its callback.
    pub web: Option<WebAnswer>,
    pub duration_s: f64,
    /// Destinations of the outcome.
    pub destinations: Destinations,
}

/// All deliveries of an outcome.
pub(crate) fn deliveries(
    event: &Claimed,
    ending: Ending,
    end: &End,
    run: &LastRun,
    record_bytes_max: usize,
) -> Vec<Delivery> {
    let of = run.destinations.clone();
    let delivery = |destination, depth, body| Delivery {
        request_id: RequestId::random(),
        address: event.address.clone(),
        depth,
        destination,
        headers: headers(event, end, run),
        body,
        accepted_ms: end.now_ms,
    };
    let mut sent = Vec::new();
    if let Some(url) = &event.callback {
        sent.push(callback(delivery(Destination::Url(url.clone()), event.depth, Bytes::new()), ending, end, run));
    }
    let (wanted, letters) = match ending {
        Ending::Success => (of.on_success, None),
        Ending::Dead(_) => (of.on_failure, of.dead_letters),
        Ending::Aborted => (of.on_failure, None),
    };
    if let Some(destination) = wanted {
        sent.push(delivery(destination, event.depth + 1, record(event, ending, end, run, record_bytes_max)));
    }
    if let Some(destination) = letters {
        sent.push(delivery(destination, event.depth + 1, event.payload.clone()));
    }
    sent
}

/// The delivery to a callback: the response of a web function unchanged, else the response or the
/// error.
fn callback(mut of: Delivery, ending: Ending, end: &End, run: &LastRun) -> Delivery {
    let is_of_function =
        matches!(ending, Ending::Success | Ending::Dead(Reason::RetriesExhausted | Reason::NotRepeated));
    if let Some(web) = run.web.as_ref().filter(|_| is_of_function) {
        of.headers.retain(|(name, _)| name != X_FUNCTION_STATUS);
        of.headers.push((X_FUNCTION_STATUS.to_owned(), web.status.to_string()));
        of.headers.extend(web.headers.iter().cloned());
        if web.is_cut {
            of.headers.push((X_FUNCTION_BODY_CUT.to_owned(), "true".to_owned()));
        }
        of.body = web.body.clone();
        return of;
    }
    let is_answered = !run.answer.is_empty() && ending != Ending::Aborted;
    of.body = if is_answered { run.answer.clone() } else { end.result.clone().unwrap_or_default() }.into();
    of
}

fn headers(event: &Claimed, end: &End, run: &LastRun) -> Vec<(String, String)> {
    let status = end.status.map_or(0, types::RunStatus::code);
    [
        ("x-call-id", event.request_id.to_string()),
        (X_FUNCTION_STATUS, status.to_string()),
        ("x-function-name", event.address.function.name.to_string()),
        ("x-duration-seconds", format!("{:.6}", run.duration_s)),
        // If it reaches this platform again, the chain continues.
        (CHAIN_DEPTH.as_str(), event.depth.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The record of an outcome. One that would be too long omits its payloads: in a chain each record
/// contains the previous one, and escaping makes it longer at every step.
fn record(event: &Claimed, ending: Ending, end: &End, run: &LastRun, bytes_max: usize) -> Bytes {
    let whole = envelope(event, ending, end, run, true);
    if whole.len() <= bytes_max { whole } else { envelope(event, ending, end, run, false) }
}

/// The record of an outcome, in the form of AWS Lambda's destinations.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    version: &'static str,
    timestamp: String,
    request_context: serde_json::Value,
    request_payload: Box<RawValue>,
    response_context: serde_json::Value,
    response_payload: &'a RawValue,
}

fn envelope(event: &Claimed, ending: Ending, end: &End, run: &LastRun, has_payloads: bool) -> Bytes {
    let (function, qualifier) = (&event.address.function, &event.address.qualifier);
    let answer = if run.answer.is_empty() { end.result.as_deref().unwrap_or_default() } else { &run.answer };
    let envelope = Envelope {
        version: "1.0",
        timestamp: jiff::Timestamp::from_millisecond(end.now_ms).map(|at| at.to_string()).unwrap_or_default(),
        request_context: json!({
            "requestId": event.request_id.as_str(),
            "namespace": function.namespace.as_str(),
            "function": function.name.as_str(),
            "qualifier": qualifier.to_string(),
            "condition": ending.condition(),
            "attempts": end.attempts,
            "payloadsOmitted": !has_payloads,
        }),
        request_payload: json_of(if has_payloads { &event.payload } else { b"null" }),
        response_context: json!({"statusCode": end.status.map(types::RunStatus::code)}),
        response_payload: &json_of(if has_payloads { answer.as_bytes() } else { b"null" }),
    };
    serde_json::to_vec(&envelope).expect("texts, numbers and JSON always serialize").into()
}

/// JSON unchanged; anything else as a string, with bytes that are not UTF-8 replaced.
fn json_of(bytes: &[u8]) -> Box<RawValue> {
    let text = String::from_utf8_lossy(bytes);
    RawValue::from_string(text.to_string())
        .unwrap_or_else(|_| serde_json::value::to_raw_value(&text).expect("a text always serializes"))
}

/// The parts of a delivery that a dead letter keeps besides its columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub destination: String,
    pub headers: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_functions_or_connections() {
        for text in ["fn:next", "http:ops", "http:a_b-9"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        for text in
            ["", "next", "fn:", "fn:a b", "http:", "http://a/", "https:x", "url:https://a/", "http:a.b", "sqs:x"]
        {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
        let url = Destination::Url("https://Hooks.example.com:8443/a?b".to_owned());
        assert_eq!(Destination::stored(&url.to_string()).unwrap(), url);
        assert_eq!(url.host(), "hooks.example.com:8443");
    }

    #[test]
    fn payloads_are_kept_as_they_were_written() {
        assert_eq!(json_of(br#"{"n":  1.0}"#).get(), r#"{"n":  1.0}"#);
        assert_eq!(json_of(b"plain \"text\"").get(), r#""plain \"text\"""#);
        assert_eq!(json_of(b"").get(), r#""""#);
    }
}
