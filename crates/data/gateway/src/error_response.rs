//! The gateway's own responses: why a request reaches no function, in the JSON of a failed run.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::uri::InvalidUri;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use types::{RequestId, RunStatus};

use crate::access::Forbidden;
use crate::asynchronous::error::AsyncError;
use crate::domain::NoEndpoint;
use crate::host::BadHost;
use crate::integration::InvalidFormat;
use crate::limits::Busy;
use crate::lookup::NotFound;
use crate::request_body::RequestBodyError;
use crate::route::NoAddress;

/// Request id of every response.
pub const X_SCF_REQUEST_ID: HeaderName = HeaderName::from_static("x-scf-request-id");
/// Marks a response of the platform itself with the status of the run.
pub const X_SCF_STATUS: HeaderName = HeaderName::from_static("x-scf-status");
/// Methods of functions, for a client that used another.
const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");

/// Why a request reaches no function.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A method that is for proxies only.
    #[error("method {0} is not for functions; use GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH or one of your own")]
    Method(Method),
    /// The host is invalid.
    #[error("{0}; send one host")]
    Host(BadHost),
    /// The path cannot be forwarded.
    #[error("the rest of the path is not a valid request target")]
    Path(#[source] InvalidUri),
    /// The address names no function.
    #[error("{0}; call a function as /fn/<namespace>/<function>/…{hosts}", hosts = hosts(.1))]
    Address(NoAddress, Option<String>),
    /// The custom domain has no matching endpoint.
    #[error("{0}")]
    Domain(NoEndpoint),
    /// The named function does not exist.
    #[error("{0}; `sampan list` shows what there is")]
    Function(NotFound),
    /// The call of an instance exceeds the limit of the chain of calls.
    #[error(
        "the call is number {depth} of a chain in which functions call each other, and the chain may have {max} \
         (setting gateway.call_depth_max); does a function call itself without end?"
    )]
    TooDeep {
        /// Its depth.
        depth: u32,
        /// The limit.
        max: u32,
    },
    /// A limit of the route is exceeded.
    #[error("{0}")]
    Busy(Busy),
    /// The body is too long for an event.
    #[error("content too large: the event of the function may have {bytes_max} bytes (setting {setting})")]
    BodyTooLong {
        /// The limit.
        bytes_max: usize,
        /// Its setting.
        setting: &'static str,
    },
    /// The head is larger than allowed.
    #[error("the request's {what}; the limit is {max} (setting {setting})")]
    Head {
        /// The part that is too large, with its size.
        what: String,
        /// The limit.
        max: usize,
        /// Its setting.
        setting: &'static str,
    },
    /// Reading the head was aborted.
    #[error(
        "the request's head is too large; it may have {headers_max} headers (setting gateway.request_headers_max) and \
         {bytes_max} bytes (setting gateway.request_head_bytes_max)"
    )]
    HeadUnread {
        /// The limit of headers.
        headers_max: usize,
        /// The limit of bytes.
        bytes_max: usize,
    },
    /// The body did not arrive.
    #[error("the request body did not arrive")]
    Body(#[source] RequestBodyError),
    /// The URL of the function does not admit this client.
    #[error("{0}")]
    Forbidden(#[from] Forbidden),
    /// The URL of the function requires a signature.
    #[error("{0}; sign calls of this function with TC3-HMAC-SHA256, over the path and the query as they are sent")]
    Unsigned(String),
    /// The asynchronous call is refused.
    #[error("{0}")]
    Async(#[from] AsyncError),
    /// The function's return value is not a valid response.
    #[error("{0}")]
    Format(InvalidFormat),
}

impl RequestError {
    /// The HTTP status, and the status of the refused run.
    fn status(&self) -> (StatusCode, RunStatus) {
        match self {
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, RunStatus::InvalidParameterValue),
            Self::Head { .. } | Self::HeadUnread { .. } => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, RunStatus::RequestTooLarge)
            }
            Self::Host(_) | Self::Path(_) => (StatusCode::BAD_REQUEST, RunStatus::InvalidParameterValue),
            Self::Domain(NoEndpoint::HttpsOnly { .. } | NoEndpoint::HttpOnly { .. }) => {
                (StatusCode::FORBIDDEN, RunStatus::InvalidParameterValue)
            }
            Self::Domain(NoEndpoint::Path { .. } | NoEndpoint::Function { .. }) => as_http(RunStatus::FunctionNotFound),
            Self::Address(..) | Self::Function(NotFound::Function { .. } | NotFound::Ambiguous { .. }) => {
                as_http(RunStatus::FunctionNotFound)
            }
            Self::Function(NotFound::Qualifier { .. }) => as_http(RunStatus::QualifierNotFound),
            Self::TooDeep { .. } => (StatusCode::LOOP_DETECTED, RunStatus::ResourceLimit),
            Self::Busy(_) => as_http(RunStatus::ResourceLimit),
            Self::BodyTooLong { .. } => as_http(RunStatus::RequestTooLarge),
            Self::Body(_) => as_http(RunStatus::RequestCanceled),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, RunStatus::UnauthorizedOperation),
            Self::Unsigned(_) => (StatusCode::UNAUTHORIZED, RunStatus::UnauthorizedOperation),
            Self::Async(error) => error.status(),
            Self::Format(_) => as_http(RunStatus::InvalidResponseFormat),
        }
    }

    /// The response, in the form of failed runs.
    pub fn into_response(self, request_id: &RequestId) -> Response<invoke::Body> {
        self.to_response(request_id).map(full)
    }

    /// The same, with a buffered body.
    pub fn to_response(&self, request_id: &RequestId) -> Response<Bytes> {
        let (http_status, run_status) = self.status();
        let body = json!({
            "errorCode": -1,
            "errorMessage": self.to_string(),
            "requestId": request_id.as_str(),
            "statusCode": run_status.code(),
        });
        let mut response = failed_run(http_status, run_status, body.to_string());
        if matches!(self, Self::Method(_)) {
            response.headers_mut().insert(ALLOW, ALLOWED_METHODS);
        }
        if matches!(self, Self::Busy(Busy::PerSecond { .. })) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(self, Self::Unsigned(_)) {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("TC3-HMAC-SHA256"));
        }
        if let Self::Async(error) = &self {
            response.headers_mut().extend(error.headers());
        }
        response.headers_mut().insert(X_SCF_REQUEST_ID, request_id_value(request_id));
        response
    }
}

/// The hint about hosts, when the configuration names a domain.
fn hosts(domain: &Option<String>) -> String {
    domain.as_ref().map(|domain| format!(" or by the host <function>.<namespace>.{domain}")).unwrap_or_default()
}

/// A run's status with its HTTP status: its own number, because the contract's numbers have three
/// digits, but 404 for what does not exist.
fn as_http(status: RunStatus) -> (StatusCode, RunStatus) {
    let http_status = match status {
        RunStatus::FunctionNotFound | RunStatus::QualifierNotFound => StatusCode::NOT_FOUND,
        status => StatusCode::from_u16(status.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    (http_status, status)
}

/// The response of a failed run whose JSON is `body`; without request id.
fn failed_run(http_status: StatusCode, run_status: RunStatus, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = http_status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(X_SCF_STATUS, HeaderValue::from(run_status.code()));
    response
}

/// The response of an event function's failed run, with JSON from the invoker.
pub fn of_failed_event(status: RunStatus, json: String) -> Response<Bytes> {
    let (http_status, status) = as_http(status);
    failed_run(http_status, status, json)
}

/// A buffered body.
pub fn full(bytes: Bytes) -> invoke::Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The header value of a request id.
pub fn request_id_value(request_id: &RequestId) -> HeaderValue {
    HeaderValue::from_str(request_id.as_str()).expect("an id is hexadecimal digits and hyphens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_status_is_its_own_http_status_unless_something_does_not_exist() {
        for status in RunStatus::ALL {
            let expected = match status.code() {
                435 | 442 => 404,
                code => code,
            };
            assert_eq!(as_http(*status).0.as_u16(), expected);
        }
    }
}
