//! gRPC calls (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md), over HTTP/2 without TLS to an
//! instance.

use http::header::{CONNECTION, HOST, HeaderValue, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, Version};

use crate::call::Body;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::limit::Limit;
use crate::request_body::RequestBody;
use crate::upstream;
use crate::web_request::{WebRequest, request_limit};
use crate::web_response::WebResponse;

/// Sends a call to an instance, and waits for the response head.
pub(crate) async fn send(invocation: &mut Invocation, request: Request<Body>) -> Result<WebResponse, Failure> {
    let of_all = Limit::new("invoke.grpc_request_bytes_max", invocation.context.config.grpc_request_bytes_max);
    let limit = request_limit(request.extensions(), of_all);
    let WebRequest { mut request, body } = WebRequest::new(request, limit)?;
    to_http2(&mut request);
    match invocation.dispatch(request, upstream::send_h2).await {
        Ok(response) => WebResponse::checked(None, response, body, &invocation.context.config),
        Err(failure) => Err(body.and_then(|body| body.failure()).unwrap_or(failure)),
    }
}

/// Rewrites the request for HTTP/2: the host in its URI, and no connection-specific headers.
fn to_http2(request: &mut Request<RequestBody>) {
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
    request.headers_mut().remove(CONNECTION);
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_its_host_in_its_address() {
        let mut request = Request::new(RequestBody::Empty);
        *request.uri_mut() = Uri::from_static("/svc/Method");
        request.headers_mut().insert(HOST, HeaderValue::from_static("a.b:80"));
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("te"));
        to_http2(&mut request);
        assert_eq!(request.uri().to_string(), "http://a.b:80/svc/Method");
        assert_eq!((request.headers().len(), &request.headers()[TE]), (1, &HeaderValue::from_static("trailers")));
    }
}
