//! The copy of a request that can be sent a second time.

use http::{HeaderName, HeaderValue, Method, Request, Uri};
use pool::Instance;

use super::state::UpstreamState;
use crate::headers;
use crate::request_body::RequestBody;

/// A request without a body whose method is idempotent (RFC 9110, 9.2.2). Most are dropped unused,
/// so that what the instance's other requests have too is not copied.
pub(super) struct Retry {
    method: Method,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Retry {
    /// A copy, where a second try is allowed.
    pub fn of(request: &Request<RequestBody>) -> Option<Self> {
        if !request.body().can_retry(request.method()) {
            return None;
        }
        let own = request.headers().iter().filter(|(name, _)| !headers::is_of_version(name));
        let headers = own.map(|(name, value)| (name.clone(), value.clone())).collect();
        Some(Self { method: request.method().clone(), uri: request.uri().clone(), headers })
    }

    /// The request again.
    pub fn into_request(self, instance: &Instance<UpstreamState>) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        let map = request.headers_mut();
        for (name, value) in self.headers {
            map.append(name, value);
        }
        if let Some(of_version) = instance.slot.stamped() {
            headers::stamp_version(map, of_version);
        }
        request
    }
}
