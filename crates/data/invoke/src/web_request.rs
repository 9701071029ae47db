//! Converts a caller's request to one to an instance: limits, and changes of its head.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{Extensions, HeaderValue, Method, Request, Uri, Version};
use http_body::Body as _;

use crate::call::{Body, RequestBytesMax};
use crate::failure::Failure;
use crate::limit::Limit;
use crate::request_body::{BodyWatch, RequestBody};
use crate::{framing, headers};

/// A request that is complete except for the platform's headers, which are added when the instance
/// is known.
pub(crate) struct WebRequest {
    pub request: Request<RequestBody>,
    /// The progress of its body; `None` where it has none.
    pub body: Option<Arc<BodyWatch>>,
}

impl WebRequest {
    /// The caller's request, with a body of at most `limit`.
    pub fn new(request: Request<Body>, limit: Limit) -> Result<Self, Failure> {
        if request.method() == Method::CONNECT {
            return Err(Failure::tunnel());
        }
        if limit.is_exceeded_by(announced_bytes(&request)) {
            return Err(Failure::request_too_large(limit));
        }
        let (mut head, body) = request.into_parts();
        framing::of_request(&mut head.headers).map_err(|invalid| Failure::invalid_framing(&invalid))?;
        headers::towards_instance(&mut head.headers, head.uri.authority());
        let (body, watch) = RequestBody::stream(body, limit);
        let mut request = Request::new(body);
        *request.version_mut() = Version::HTTP_11;
        *request.method_mut() = head.method;
        *request.uri_mut() = origin_form(head.uri);
        *request.headers_mut() = head.headers;
        Ok(Self { request, body: watch })
    }

    /// Sends a body of unknown length in chunks: hyper assumes that a GET without a length has no
    /// body.
    pub fn chunk_unknown_length(&mut self) {
        let request = &mut self.request;
        let has_length =
            || request.headers().contains_key(CONTENT_LENGTH) || request.body().size_hint().exact().is_some();
        if self.body.is_some() && !has_length() {
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

/// The limit of a request's body: that of its protocol, or that of its route.
pub(crate) fn request_limit(extensions: &Extensions, of_protocol: Limit) -> Limit {
    match extensions.get::<RequestBytesMax>() {
        Some(RequestBytesMax(own)) if of_protocol.bytes_max == 0 || *own < of_protocol.bytes_max => {
            Limit::new("body_bytes_max of [[gateway.limits]]", *own)
        }
        _ => of_protocol,
    }
}

fn announced_bytes(request: &Request<Body>) -> u64 {
    let header = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    request.body().size_hint().lower().max(header.unwrap_or(0))
}

/// Path and query alone, as a server expects them.
pub(crate) fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() && uri.path_and_query().is_some() {
        return uri;
    }
    Uri::from(uri.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_out_in_origin_form() {
        let table = [
            ("http://a.b/x?y=1", "/x?y=1"),
            ("/x//y/../z?%20", "/x//y/../z?%20"),
            ("http://a.b", "/"),
            ("*", "*"),
            ("/?", "/?"),
        ];
        for (uri, wanted) in table {
            assert_eq!(origin_form(uri.parse().expect("valid")).to_string(), wanted);
        }
    }

    #[test]
    fn the_limit_of_a_route_counts_where_it_is_the_smaller_one() {
        let of_protocol = |bytes_max| Limit::new("invoke.web_request_bytes_max", bytes_max);
        for (own, all, wanted) in [(None, 10, 10), (Some(5), 10, 5), (Some(20), 10, 10), (Some(20), 0, 20)] {
            let mut extensions = Extensions::new();
            own.map(|own| extensions.insert(RequestBytesMax(own)));
            assert_eq!(request_limit(&extensions, of_protocol(all)).bytes_max, wanted, "{own:?} {all}");
        }
    }
}
