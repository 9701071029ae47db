//! The run of one event: `POST /event-invoke` to an instance, and its buffered response.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Uri};
use serde::de::IgnoredAny;
use types::limits::JOB_EVENT_BYTES_MAX;
use types::{ExitStatus, FunctionKind, RequestId, RunStatus};

use crate::call::{EventCall, EventResult, Source};
use crate::chain::CHAIN_DEPTH;
use crate::context::Context;
use crate::failure::Failure;
use crate::headers::TRIGGER_SRC;
use crate::invocation::{Invocation, Summary};
use crate::limit::Limit;
use crate::report;
use crate::request_body::RequestBody;
use crate::resolve::ResolvedCall;
use crate::{retry_after, upstream};

/// The path that receives an event function's events (contract 4.1).
const PATH: &str = "/event-invoke";

/// Runs an event to its end.
pub(crate) async fn run(context: Arc<Context>, call: ResolvedCall, event: EventCall) -> EventResult {
    let request_id = event.request_id.clone();
    let mut invocation = Invocation::of(&context, request_id.clone(), call, event.asynchronous.as_ref());
    let (outcome, exit) = match invocation.version().spec.image.is_job() && event.source != Source::Url {
        true => job(&mut invocation, &event).await,
        false => (respond(&mut invocation, &event).await, None),
    };
    let result = match outcome {
        Ok(ret_msg) => {
            let summary = invocation.finish(Ok(()), &ret_msg).await;
            result(request_id, ret_msg, None, summary)
        }
        Err(failure) => {
            let ret_msg = failure.to_json(&request_id);
            let summary = invocation.finish(Err(&failure), &ret_msg).await;
            result(request_id, ret_msg, Some(&failure), summary)
        }
    };
    EventResult { exit, ..result }
}

/// Runs a job image: an instance of its own, whose end is the run's end. Its output is its log; it
/// has no response.
async fn job(invocation: &mut Invocation, event: &EventCall) -> (Result<String, Failure>, Option<ExitStatus>) {
    if let Err(failure) = check_payload(&event.payload, JOB_EVENT_BYTES_MAX) {
        return (Err(failure), None);
    }
    let beside = event.asynchronous.as_ref();
    let (attempt, array) = beside.map_or((1, None), |beside| (beside.attempt.max(1), beside.array));
    let depth = beside.map_or(0, |beside| beside.chain_depth);
    let input = types::job::input(&event.payload, attempt, depth, array).into();
    match invocation.run_job(&input).await {
        Ok(ended) => (invocation.failure_of_job(&ended).map_or(Ok(String::new()), Err), Some(ended)),
        Err(failure) => (Err(failure), None),
    }
}

/// The result of an event that failed outside of a run.
pub(crate) fn failed(event: EventCall, failure: &Failure) -> EventResult {
    let ret_msg = failure.to_json(&event.request_id);
    result(event.request_id, ret_msg, Some(failure), Summary::default())
}

fn result(request_id: RequestId, ret_msg: String, failure: Option<&Failure>, summary: Summary) -> EventResult {
    EventResult {
        public_ret_msg: failure.map(|failure| failure.to_public_json(&request_id)),
        request_id,
        status: failure.map_or(RunStatus::Success, |failure| failure.status),
        ret_msg,
        error_message: failure.map(Failure::report),
        retry_after: failure.and_then(|failure| failure.retry_after),
        duration: summary.duration,
        bill_duration_ms: summary.bill_duration_ms,
        memory_bytes: summary.memory_bytes,
        exit: None,
        cold: summary.cold,
    }
}

async fn respond(invocation: &mut Invocation, event: &EventCall) -> Result<String, Failure> {
    let version = invocation.version();
    if version.function.kind == FunctionKind::Http {
        return Err(Failure::web_function(&version.function.key));
    }
    if version.spec.image.is_job() {
        return Err(Failure::job_image(&version.function.key));
    }
    if version.function.async_run && event.source == Source::Url {
        return Err(Failure::answers_with_id(&version.function.key));
    }
    check_payload(&event.payload, invocation.context.config.event_bytes_max)?;
    let (mut connection, response) = invocation.dispatch(request(event), upstream::send).await?;
    let (head, body) = response.into_parts();
    let config = &invocation.context.config;
    let limit = Limit::new("invoke.event_response_bytes_max", config.event_response_bytes_max as u64);
    let read = upstream::read_whole(&mut connection, body, limit);
    let response = text(invocation.guarded(read).await?);
    invocation.recycle_connection(connection);
    if head.status.is_success() {
        return Ok(response);
    }
    let mut failure = Failure::answered(head.status, report::cut(&response, config.error_message_bytes_max));
    failure.retry_after = head.headers.get(RETRY_AFTER).and_then(|value| retry_after::parse(value, SystemTime::now()));
    Err(failure)
}

fn check_payload(payload: &[u8], bytes_max: usize) -> Result<(), Failure> {
    if payload.len() > bytes_max {
        return Err(Failure::event_too_large(payload.len(), bytes_max));
    }
    // From a byte slice the library would not validate texts that it skips.
    let text = std::str::from_utf8(payload).map_err(|error| Failure::event_not_json(&error))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| Failure::event_not_json(&error))?;
    Ok(())
}

fn request(event: &EventCall) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::event(event.payload.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(PATH);
    let map = request.headers_mut();
    map.reserve(16);
    map.insert(HOST, HeaderValue::from_static("localhost"));
    map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if event.source == Source::Timer {
        map.insert(TRIGGER_SRC, HeaderValue::from_static("Timer"));
    }
    if let Some(asynchronous) = &event.asynchronous {
        map.insert(CHAIN_DEPTH, asynchronous.chain_depth.into());
    }
    request
}

/// The response as text; bytes that are not UTF-8 become replacement characters.
fn text(response: Bytes) -> String {
    String::from_utf8(response.into()).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json_within_the_limit() {
        for good in ["{}", "null", " [1, \"a\"] ", "\"text\""] {
            assert!(check_payload(good.as_bytes(), 100).is_ok(), "{good}");
        }
        for bad in ["", "{", "{} x", "hello", "\u{1}"] {
            let failure = check_payload(bad.as_bytes(), 100).expect_err(bad);
            assert_eq!(failure.status.code(), 400);
        }
        assert_eq!(check_payload(b"[1,2,3]", 6).expect_err("too long").status.code(), 406);
    }

    #[test]
    fn a_response_that_is_not_utf_8_is_read_with_replacement_characters() {
        assert_eq!(text(Bytes::from_static(b"\"ok\"")), "\"ok\"");
        assert_eq!(text(Bytes::from_static(b"a\xffb")), "a\u{fffd}b");
    }
}
