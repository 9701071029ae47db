//! The run of one event: `POST /event-invoke` to an instance, and its answer whole.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Uri};
use serde::de::IgnoredAny;
use types::{FunctionKind, RequestId, RouteBy, RunStatus};

use crate::call::{EventCall, EventResult, Source, Target};
use crate::context::Context;
use crate::failure::Failure;
use crate::headers::TRIGGER_SRC;
use crate::invocation::{Invocation, Summary};
use crate::limit::Limit;
use crate::report;
use crate::request_body::RequestBody;
use crate::route::{self, RoutingKey};
use crate::upstream::read_whole;

/// Where an event function takes its events (contract 4.1).
const PATH: &str = "/event-invoke";

/// The port of an image without a server (contract 4.2).
const JOB_PORT: i32 = -1;

/// Runs an event to its end.
pub(crate) async fn run(shared: Arc<Context>, target: Target, call: EventCall, key: RoutingKey) -> EventResult {
    let request_id = call.request_id.clone();
    let by = RouteBy { draw: route::draw(&request_id), header: &|name| key.get(name) };
    let version = match shared.resolve(&target, by) {
        Ok(version) => version,
        Err(lookup) => return failed(call, &Failure::from(lookup)),
    };
    let mut invocation = Invocation::begin(&shared, request_id.clone(), version, &target.qualifier);
    match serve(&mut invocation, &target, &call).await {
        Ok(ret_msg) => {
            let summary = invocation.finish(Ok(()), &ret_msg).await;
            result(request_id, ret_msg, None, summary)
        }
        Err(failure) => {
            let ret_msg = failure.to_json(&request_id);
            let summary = invocation.finish(Err(&failure), &ret_msg).await;
            result(request_id, ret_msg, Some(&failure), summary)
        }
    }
}

/// The result of an event that failed outside of a run.
pub(crate) fn failed(call: EventCall, failure: &Failure) -> EventResult {
    let ret_msg = failure.to_json(&call.request_id);
    result(call.request_id, ret_msg, Some(failure), Summary::default())
}

fn result(request_id: RequestId, ret_msg: String, failure: Option<&Failure>, summary: Summary) -> EventResult {
    EventResult {
        public_ret_msg: failure.map(|failure| failure.to_public_json(&request_id)),
        request_id,
        status: failure.map_or(RunStatus::Success, |failure| failure.status),
        ret_msg,
        error_message: failure.map(Failure::report),
        duration: summary.duration,
        bill_duration_ms: summary.bill_duration_ms,
        memory_bytes: summary.memory_bytes,
        cold: summary.cold,
    }
}

async fn serve(invocation: &mut Invocation, target: &Target, call: &EventCall) -> Result<String, Failure> {
    let shared = Arc::clone(&invocation.shared);
    let config = &shared.config;
    let version = invocation.version();
    if version.function.kind == FunctionKind::Http {
        return Err(Failure::web_function(&version.function.key));
    }
    if version.spec.image.port == JOB_PORT {
        return Err(Failure::job_image(&version.function.key));
    }
    check_payload(&call.payload, config.event_bytes_max)?;
    let (mut connection, response) = invocation.dispatch(target, request(call)).await?;
    let (head, body) = response.into_parts();
    let limit = Limit::new("invoke.event_response_bytes_max", config.event_response_bytes_max as u64);
    let read = read_whole(&mut connection, body, limit);
    let answer = text(invocation.guarded(read).await?);
    invocation.recycle_connection(connection);
    if head.status.is_success() {
        return Ok(answer);
    }
    Err(Failure::answered(head.status, report::cut(&answer, config.error_message_bytes_max)))
}

fn check_payload(payload: &[u8], bytes_max: usize) -> Result<(), Failure> {
    if payload.len() > bytes_max {
        return Err(Failure::event_too_large(payload.len(), bytes_max));
    }
    serde_json::from_slice::<IgnoredAny>(payload).map_err(|error| Failure::event_not_json(&error))?;
    Ok(())
}

fn request(call: &EventCall) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::event(call.payload.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(PATH);
    let map = request.headers_mut();
    map.reserve(16);
    map.insert(HOST, HeaderValue::from_static("localhost"));
    map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if call.source == Source::Timer {
        map.insert(TRIGGER_SRC, HeaderValue::from_static("Timer"));
    }
    request
}

/// The answer as text; bytes that are not UTF-8 become replacement characters.
fn text(answer: Bytes) -> String {
    String::from_utf8(answer.into()).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
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
    fn an_answer_that_is_not_text_is_read_as_well_as_possible() {
        assert_eq!(text(Bytes::from_static(b"\"ok\"")), "\"ok\"");
        assert_eq!(text(Bytes::from_static(b"a\xffb")), "a\u{fffd}b");
    }
}
