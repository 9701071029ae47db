//! A failed invocation as the response to its caller: JSON over HTTP, a status over gRPC. Pure.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderName, Response};
use http_body_util::{BodyExt, Full};
use types::{RequestId, RunStatus};

use crate::call::{Body, empty_body};
use crate::failure::Failure;
use crate::headers;
use crate::protocol::Protocol;

/// Seconds after which a request that found no room may be retried (RFC 9110, section 10.2.3): the
/// shortest time after which an instance may have come free.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("1");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The platform's own response to a request of an unauthenticated caller.
pub(crate) fn error_response(failure: &Failure, protocol: Protocol, request: &RequestId) -> Response<Body> {
    let mut response = match protocol {
        Protocol::Grpc => grpc(failure),
        Protocol::Http1 | Protocol::WebSocket | Protocol::Event => http(failure, request),
    };
    let map = response.headers_mut();
    map.insert(headers::REQUEST_ID, headers::value(request.as_str()));
    map.insert(headers::STATUS, HeaderValue::from(failure.status.code()));
    response
}

fn http(failure: &Failure, request: &RequestId) -> Response<Body> {
    let body = Full::new(Bytes::from(failure.to_public_json(request)));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = failure.http_status();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(failure.status, RunStatus::ResourceLimit | RunStatus::ResourceLimitReached) {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
    }
    response
}

/// A gRPC response with a status and no message.
fn grpc(failure: &Failure) -> Response<Body> {
    let mut response = Response::new(empty_body());
    let map = response.headers_mut();
    map.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    map.insert(GRPC_STATUS, HeaderValue::from(grpc_status(failure.status)));
    map.insert(GRPC_MESSAGE, headers::value(&percent_encoded(&failure.message)));
    response
}

/// The gRPC status of the same meaning (grpc/grpc, doc/statuscodes.md).
fn grpc_status(status: RunStatus) -> u16 {
    match status {
        RunStatus::RequestCanceled => 1,
        RunStatus::InvalidEvent | RunStatus::InvalidParameterValue => 3,
        RunStatus::TimeLimitReached | RunStatus::InitContainerTimeout => 4,
        RunStatus::FunctionNotFound | RunStatus::QualifierNotFound => 5,
        RunStatus::RequestTooLarge
        | RunStatus::ResponseTooLarge
        | RunStatus::ResourceLimit
        | RunStatus::ResourceLimitReached
        | RunStatus::MemoryLimitReached
        | RunStatus::InsufficientResources => 8,
        RunStatus::InternalError => 13,
        _ => 14,
    }
}

/// Percent-encodes a text for `grpc-message`.
fn percent_encoded(text: &str) -> String {
    let keep = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'%';
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_room_is_told_when_to_come_again() {
        let retry_after = |failure: &Failure| {
            let response = error_response(failure, Protocol::Http1, &RequestId::random());
            response.headers().get("retry-after").cloned()
        };
        let of = |status| {
            let mut failure = Failure::timed_out(1);
            failure.status = status;
            failure
        };
        assert_eq!(retry_after(&of(RunStatus::ResourceLimit)), Some(RETRY_AFTER_S));
        assert_eq!(retry_after(&of(RunStatus::ResourceLimitReached)), Some(RETRY_AFTER_S));
        assert_eq!(retry_after(&of(RunStatus::TimeLimitReached)), None);
    }

    #[test]
    fn an_http_response_carries_the_status_and_the_id() {
        let request = RequestId::random();
        let response = error_response(&Failure::timed_out(1), Protocol::Http1, &request);
        assert_eq!(response.status().as_u16(), 433);
        assert_eq!(response.headers()["x-scf-status"], "433");
        assert_eq!(response.headers()["x-scf-request-id"], request.as_str());
        assert_eq!(response.headers()["content-type"], "application/json");
    }

    #[test]
    fn a_grpc_response_is_a_status_with_a_message() {
        let id: RequestId = "3c4ed1bd-9c2e-4b0e-8c0c-0f3e6f0f3a11".parse().expect("valid");
        let response = error_response(&Failure::timed_out(3), Protocol::Grpc, &id);
        assert_eq!((response.status().as_u16(), &response.headers()[GRPC_STATUS]), (200, &HeaderValue::from(4)));
        assert_eq!(response.headers()["x-scf-request-id"], id.as_str());
        assert_eq!(percent_encoded("50% é\n"), "50%25 %C3%A9%0A");
    }
}
