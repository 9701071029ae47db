//! The copy of a request that can be sent a second time.

use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::request_body::RequestBody;

/// A request without a body whose method is idempotent (RFC 9110, 9.2.2). Most are dropped unused,
/// so nothing is hashed for them.
pub(super) struct Retry {
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Retry {
    /// A copy, where a retry is allowed.
    pub fn of(request: &Request<RequestBody>) -> Option<Self> {
        if !request.body().can_retry(request.method()) {
            return None;
        }
        let headers = request.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Some(Self { method: request.method().clone(), uri: request.uri().clone(), headers })
    }

    /// The request again.
    pub fn into_request(self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        let map = request.headers_mut();
        for (name, value) in self.headers {
            map.append(name, value);
        }
        request
    }
}
