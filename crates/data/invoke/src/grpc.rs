//! gRPC calls (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md): how one is recognized, the request that goes to the instance,
//! and failures of the platform in the form that gRPC clients read.

use http::header::{CONTENT_TYPE, HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, Version};
use http_body_util::{BodyExt, Empty};
use types::{RequestId, RunStatus};

use crate::call::Body;
use crate::failure::Failure;
use crate::headers;
use crate::request_body::RequestBody;

const KIND: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a request is a call of gRPC.
pub(crate) fn is_call(map: &HeaderMap) -> bool {
    let kind = map.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.strip_prefix(KIND)).is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// The request as HTTP/2 has it: the host in its address, and no header of a single connection.
pub(crate) fn to_http2(request: &mut Request<RequestBody>) {
    let host = request.headers_mut().remove(HOST);
    let host = host.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let mut uri = request.uri().clone().into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(host.unwrap_or_else(|| Authority::from_static("localhost")));
    uri.path_and_query = uri.path_and_query.or_else(|| Some(PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(uri) {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(http::header::CONNECTION);
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
}

/// A failure of the platform as the response to a call: a status and no message.
pub(crate) fn error_response(failure: &Failure, request: &RequestId) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    let map = response.headers_mut();
    map.insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
    map.insert(STATUS, HeaderValue::from(code(failure.status)));
    map.insert(MESSAGE, headers::value(&encoded(&failure.message)));
    map.insert(headers::REQUEST_ID, headers::value(request.as_str()));
    map.insert(headers::STATUS, HeaderValue::from(failure.status.code()));
    response
}

/// The gRPC status of the same meaning (grpc/grpc, doc/statuscodes.md).
fn code(status: RunStatus) -> u16 {
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

/// Percent-encoded, as `grpc-message` is.
fn encoded(text: &str) -> String {
    let keep = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'%';
    text.bytes().map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_recognized_by_their_content_type() {
        let is_grpc =
            |kind: &'static str| is_call(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]));
        assert!(is_grpc("application/grpc") && is_grpc("application/grpc+proto") && is_grpc("application/grpc;x=y"));
        assert!(!is_grpc("application/grpc-web") && !is_grpc("application/json") && !is_call(&HeaderMap::new()));
    }

    #[test]
    fn a_call_has_its_host_in_its_address() {
        let mut request = Request::new(RequestBody::Empty);
        *request.uri_mut() = Uri::from_static("/svc/Method");
        request.headers_mut().insert(HOST, HeaderValue::from_static("a.b:80"));
        request.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("te"));
        to_http2(&mut request);
        assert_eq!(request.uri().to_string(), "http://a.b:80/svc/Method");
        assert_eq!((request.headers().len(), &request.headers()[TE]), (1, &HeaderValue::from_static("trailers")));
    }

    #[test]
    fn a_failure_is_a_status_with_a_message() {
        let id: RequestId = "3c4ed1bd-9c2e-4b0e-8c0c-0f3e6f0f3a11".parse().expect("valid");
        let response = error_response(&Failure::timed_out(3), &id);
        assert_eq!((response.status().as_u16(), &response.headers()[STATUS]), (200, &HeaderValue::from(4)));
        assert_eq!(encoded("50% é\n"), "50%25 %C3%A9%0A");
    }
}
