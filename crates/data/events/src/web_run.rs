//! Replays a stored request to a web function, and derives the outcome of the event from its
//! response: 429 and 5xx are failures of the function, any other response is a success.

use std::time::{Duration, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::request::Parts;
use http::response::Parts as ResponseParts;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use invoke::{Asynchronous, Body, BoxError, CutOff, Invoker, Target};
use serde_json::json;
use types::{RequestId, RunStatus};

use crate::event::Address;
use crate::run::Outcome;
use crate::web_answer::WebAnswer;
use crate::web_request::WebRequest;

/// Marks a response of the platform itself with the status of the run.
const X_SCF_STATUS: HeaderName = HeaderName::from_static("x-scf-status");
/// The request id's header on other platforms.
const X_CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
/// Bytes of a response's body that go into the event's result.
const RESULT_BODY_BYTES_MAX: usize = 32 << 10;

/// Parameters of a run.
pub(crate) struct Of<'a> {
    /// The address that the request was accepted for.
    pub address: &'a Address,
    /// The event's id.
    pub id: RequestId,
    /// Bytes of the response that are kept unchanged.
    pub answer_bytes_max: usize,
}

/// Replays the request.
pub(crate) async fn run(
    invoker: &Invoker,
    target: Target,
    of: Of<'_>,
    payload: Bytes,
    asynchronous: Asynchronous,
) -> Outcome {
    let Of { address, id, answer_bytes_max } = of;
    let stored = match WebRequest::from_bytes(&payload) {
        Ok(stored) => stored,
        Err(error) => return failed(RunStatus::InvalidEvent, String::new(), error.to_string(), None),
    };
    let cancellation = asynchronous.cancellation.clone();
    let mut request = replayed(stored, &id);
    request.extensions_mut().insert(asynchronous);
    let call = match invoker.resolve_request(&target, &id, request.headers()) {
        Ok(call) if *call.function_id() == address.function_id => call,
        Ok(call) => return Outcome::of_another(address, call.function_id()),
        Err(lookup) => return Outcome::unresolved(&lookup),
    };
    let (head, body) = invoker.web(call, id, request).await.into_parts();
    let body = read(body, answer_bytes_max.max(RESULT_BODY_BYTES_MAX)).await;
    // The run's output is in its log before its event ends.
    cancellation.ended().await;
    match body {
        Ok((bytes, cut)) => {
            let result = &bytes[..bytes.len().min(RESULT_BODY_BYTES_MAX)];
            let mut outcome = outcome(&head, result, cut || result.len() < bytes.len(), SystemTime::now());
            if answer_bytes_max > 0 && !head.headers.contains_key(X_SCF_STATUS) {
                let is_cut = cut || bytes.len() > answer_bytes_max;
                let body = Bytes::from(bytes);
                let body = body.slice(..body.len().min(answer_bytes_max));
                outcome.web = Some(WebAnswer::new(head.status.as_u16(), &head.headers, body, is_cut));
            }
            outcome
        }
        Err(error) => {
            let status = error.downcast_ref::<CutOff>().map_or(RunStatus::UserProcessExited, |cut| cut.status);
            failed(status, String::new(), format!("the function's response broke off: {error}"), None)
        }
    }
}

/// The request as it was sent, with the id of its event.
fn replayed(stored: WebRequest, id: &RequestId) -> Request<Full<Bytes>> {
    let WebRequest { method, target, headers, body } = stored;
    let length = body.len();
    let (mut parts, body): (Parts, _) = Request::new(Full::new(body)).into_parts();
    (parts.method, parts.uri, parts.headers) = (method, target.into(), headers);
    if length > 0 || parts.headers.contains_key(CONTENT_LENGTH) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        parts.headers.insert(X_CALL_ID, id);
    }
    Request::from_parts(parts, body)
}

/// The beginning of a body, and whether there was more. All of it is read, because the run ends
/// with it.
async fn read(mut body: Body, bytes_max: usize) -> Result<(Vec<u8>, bool), BoxError> {
    let (mut kept, mut cut) = (Vec::new(), false);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = bytes_max - kept.len();
        cut |= data.len() > room;
        kept.extend_from_slice(&data[..data.len().min(room)]);
    }
    Ok((kept, cut))
}

/// The outcome of the event for a complete response.
fn outcome(head: &ResponseParts, body: &[u8], cut: bool, now: SystemTime) -> Outcome {
    let platforms = head.headers.get(X_SCF_STATUS).and_then(|code| code.to_str().ok()?.parse::<u16>().ok());
    if let Some(status) = platforms.and_then(|code| RunStatus::try_from(code).ok()) {
        let text = String::from_utf8_lossy(body).into_owned();
        return failed(status, text.clone(), text, None);
    }
    let answer = answer(head.status, body, cut);
    if head.status != StatusCode::TOO_MANY_REQUESTS && !head.status.is_server_error() {
        let ret_msg = answer.to_string();
        let (error_message, exit, retry_after) = (None, None, None);
        return Outcome { status: RunStatus::Success, ret_msg, error_message, exit, retry_after, web: None };
    }
    let message = answer.to_string();
    failed(
        RunStatus::UserCodeException,
        message.clone(),
        message,
        head.headers.get(RETRY_AFTER).and_then(|value| invoke::retry_after(value, now)),
    )
}

/// A response as JSON, in the form of integrated responses: a body that is not text is in Base64.
fn answer(status: StatusCode, body: &[u8], cut: bool) -> serde_json::Value {
    let mut answer = match text(body, cut) {
        Some(text) => json!({"statusCode": status.as_u16(), "body": text}),
        None => json!({"statusCode": status.as_u16(), "body": BASE64_STANDARD.encode(body), "isBase64Encoded": true}),
    };
    if cut {
        answer["truncated"] = true.into();
    }
    answer
}

/// The text of a body in UTF-8; an incomplete character at a truncation is dropped.
fn text(body: &[u8], cut: bool) -> Option<&str> {
    match std::str::from_utf8(body) {
        Ok(text) => Some(text),
        Err(error) if cut && error.error_len().is_none() => std::str::from_utf8(&body[..error.valid_up_to()]).ok(),
        Err(_) => None,
    }
}

fn failed(status: RunStatus, ret_msg: String, message: String, retry_after: Option<Duration>) -> Outcome {
    Outcome { status, ret_msg, error_message: Some(message), exit: None, retry_after, web: None }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn head(status: u16, headers: &[(&str, &str)]) -> ResponseParts {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    #[test]
    fn too_many_requests_and_server_errors_are_failures_and_all_else_ends_well() {
        for (status, wanted) in [
            (200, RunStatus::Success),
            (204, RunStatus::Success),
            (302, RunStatus::Success),
            (404, RunStatus::Success),
            (429, RunStatus::UserCodeException),
            (500, RunStatus::UserCodeException),
            (503, RunStatus::UserCodeException),
        ] {
            let outcome = outcome(&head(status, &[]), b"text", false, now());
            assert_eq!(outcome.status, wanted, "{status}");
            assert_eq!(outcome.ret_msg, format!("{{\"body\":\"text\",\"statusCode\":{status}}}"));
            assert_eq!(outcome.error_message.is_some(), !wanted.is_success());
        }
        assert!(outcome(&head(200, &[]), b"text", true, now()).ret_msg.contains("\"truncated\":true"));
    }

    #[test]
    fn a_body_that_is_no_text_is_kept_in_base64_whether_the_run_failed_or_not() {
        let bytes = [0x89, b'P', b'N', b'G', 0, 0xff];
        for status in [200, 500] {
            let ret_msg = outcome(&head(status, &[]), &bytes, false, now()).ret_msg;
            let answer: serde_json::Value = serde_json::from_str(&ret_msg).unwrap();
            assert_eq!((&answer["isBase64Encoded"], &answer["statusCode"]), (&json!(true), &json!(status)));
            assert_eq!(BASE64_STANDARD.decode(answer["body"].as_str().unwrap()).unwrap(), bytes);
        }
    }

    #[test]
    fn a_text_that_is_cut_within_a_character_stays_a_text() {
        let answer = |body: &[u8], cut| answer(StatusCode::OK, body, cut);
        assert_eq!(answer("hä".as_bytes().split_last().unwrap().1, true)["body"], "h");
        assert_eq!(answer(b"h\xc3", false)["isBase64Encoded"], true, "a whole body that ends so is no text");
        assert_eq!(answer(b"\xff\xfe\xc3", true)["isBase64Encoded"], true);
    }

    #[test]
    fn an_answer_of_the_platform_is_the_runs_own_status() {
        for (code, wanted) in [("432", RunStatus::ResourceLimitReached), ("439", RunStatus::UserProcessExited)] {
            let outcome = outcome(&head(432, &[("x-scf-status", code)]), b"{}", false, now());
            assert_eq!(outcome.status, wanted);
        }
    }

    #[test]
    fn only_a_failure_says_when_to_come_again() {
        let asked = |status| outcome(&head(status, &[("retry-after", "30")]), b"", false, now()).retry_after;
        assert_eq!((asked(503), asked(200)), (Some(Duration::from_secs(30)), None));
        let date = head(429, &[("retry-after", "Thu, 01 Jan 1970 00:02:00 GMT")]);
        assert_eq!(outcome(&date, b"", false, now()).retry_after, Some(Duration::from_secs(120)));
    }

    #[tokio::test]
    async fn long_bodies_are_read_to_the_end_and_kept_in_part() {
        let whole = vec![b'x'; RESULT_BODY_BYTES_MAX + 1];
        let body = Full::new(Bytes::from(whole)).map_err(|never| match never {}).boxed_unsync();
        let (text, cut) = read(body, RESULT_BODY_BYTES_MAX).await.unwrap();
        assert_eq!((text.len(), cut), (RESULT_BODY_BYTES_MAX, true));
    }
}
