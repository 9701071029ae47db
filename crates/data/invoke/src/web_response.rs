//! Converts an instance's response to one to the caller: limits, and changes of its head.

use std::sync::Arc;

use http::{Extensions, HeaderMap, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use types::RunStatus;

use crate::call::{Body, empty_body};
use crate::config::Config;
use crate::failure::Failure;
use crate::headers;
use crate::invocation::Invocation;
use crate::request_body::BodyWatch;
use crate::response_body::ResponseBody;
use crate::upstream::Connection;

/// A response whose head has arrived.
pub(crate) struct WebResponse {
    /// `None` where requests share one.
    connection: Option<Connection>,
    response: Response<Incoming>,
    /// The progress of the request's body.
    request_body: Option<Arc<BodyWatch>>,
}

impl WebResponse {
    /// A response within the limits.
    pub fn checked(
        connection: Option<Connection>,
        response: Response<Incoming>,
        request_body: Option<Arc<BodyWatch>>,
        config: &Config,
    ) -> Result<Self, Failure> {
        check(response.status(), response.headers(), response.body().size_hint().lower(), config)?;
        Ok(Self { connection, response, request_body })
    }

    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The response for the caller; its body owns the invocation until its end.
    pub fn stream(self, invocation: Invocation) -> Response<Body> {
        let Self { connection, response, request_body } = self;
        let (mut head, body) = response.into_parts();
        headers::from_instance(&mut head.headers);
        head.version = Version::HTTP_11;
        keep_reason_phrase(&mut head.extensions);
        let body = ResponseBody::begin(invocation, connection, body, request_body);
        Response::from_parts(head, body.map_or_else(empty_body, BodyExt::boxed_unsync))
    }
}

/// Drops the HTTP library's extensions about the instance's connection, except the reason phrase.
fn keep_reason_phrase(extensions: &mut Extensions) {
    let reasons = usize::from(extensions.get::<ReasonPhrase>().is_some());
    if extensions.len() > reasons {
        let reason = extensions.remove::<ReasonPhrase>();
        extensions.clear();
        reason.into_iter().for_each(|reason| drop(extensions.insert(reason)));
    }
}

fn check(status: StatusCode, map: &HeaderMap, body_bytes: u64, config: &Config) -> Result<(), Failure> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let message = "the function's server switched protocols, which it was not asked to do";
        return Err(Failure::new(RunStatus::UserCodeException, message));
    }
    check_headers(map, config)?;
    let limit = config.web_response_limit();
    if limit.is_exceeded_by(body_bytes) {
        return Err(Failure::response_too_large(limit));
    }
    Ok(())
}

/// Refuses a response with more headers than the limit.
pub(crate) fn check_headers(map: &HeaderMap, config: &Config) -> Result<(), Failure> {
    if map.len() > config.web_response_headers_max {
        let (headers_max, bytes_max) = (config.web_response_headers_max, config.web_response_headers_bytes_max);
        return Err(Failure::response_head_too_large(headers_max, bytes_max));
    }
    let bytes = headers::bytes(map);
    if bytes > config.web_response_headers_bytes_max {
        return Err(Failure::response_headers_too_large(bytes, config.web_response_headers_bytes_max));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_over_a_limit_are_refused() {
        let config = Config { web_response_bytes_max: 10, web_response_headers_bytes_max: 20, ..Config::default() };
        let mut map = HeaderMap::new();
        map.insert("x-a", headers::value("0123456789"));
        assert!(check(StatusCode::OK, &map, 10, &config).is_ok());
        assert_eq!(check(StatusCode::OK, &map, 11, &config).expect_err("long").status.code(), 407);
        map.insert("x-b", headers::value("0123456789"));
        assert_eq!(check(StatusCode::OK, &map, 0, &config).expect_err("long").status.code(), 407);
        let few = Config { web_response_headers_max: 1, web_response_headers_bytes_max: 1000, ..config.clone() };
        assert!(check(StatusCode::OK, &map, 0, &few).expect_err("two").message.contains("web_response_headers_max"));
        let unlimited = Config { web_response_bytes_max: 0, ..config };
        assert!(check(StatusCode::OK, &HeaderMap::new(), u64::MAX, &unlimited).is_ok());
    }
}
