//! A web request: to an instance as it is, and the answer back as it comes.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use types::catalog::Lookup;
use types::{CatalogVersion, FunctionKind, RequestId, RouteBy, RunStatus};

use crate::call::{Body, RequestBytesMax, Target};
use crate::config::Config;
use crate::context::Context;
use crate::failure::Failure;
use crate::invocation::{Ending, Invocation};
use crate::limit::Limit;
use crate::metering;
use crate::request_body::{BodyWatch, Progress, RequestBody};
use crate::response_body::ResponseBody;
use crate::route;
use crate::upstream::{Connection, send_h2};
use crate::websocket;
use crate::{framing, grpc, headers};

/// Answers a web request; failures of the platform are answers too.
pub(crate) async fn run(
    shared: &Arc<Context>,
    target: Target,
    id: RequestId,
    request: Request<Body>,
) -> Response<Body> {
    let is_call = grpc::is_call(request.headers());
    let served = if headers::asks_for_websocket(request.headers()) {
        websocket::serve(shared, &target, &id, request).await
    } else {
        serve(shared, &target, &id, request).await
    };
    match served {
        Ok(mut response) => {
            response.headers_mut().insert(headers::REQUEST_ID, headers::value(id.as_str()));
            response
        }
        Err(failure) if is_call => grpc::error_response(&failure, &id),
        Err(failure) => failure.to_response(&id),
    }
}

async fn serve(
    shared: &Arc<Context>,
    target: &Target,
    id: &RequestId,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let version = resolve(shared, target, id, request.headers())?;
    let mut invocation = Invocation::begin(shared, id.clone(), version, &target.qualifier);
    match answer(&mut invocation, target, request).await {
        Ok(answer) => {
            metering::answered(&invocation.version(), answer.response.status());
            Ok(stream(invocation, answer))
        }
        Err(failure) => {
            invocation.finish_later(Ending::Failed(failure.clone()));
            Err(failure)
        }
    }
}

/// What the request runs; rules of an alias look at its own headers.
pub(crate) fn resolve(
    shared: &Context,
    target: &Target,
    id: &RequestId,
    map: &HeaderMap,
) -> Result<Arc<CatalogVersion>, Lookup> {
    shared.resolve(target, RouteBy { draw: route::draw(id), header: &|name| route::header(map, name) })
}

/// An answer that has begun.
struct Answer {
    /// Nothing where requests share one.
    connection: Option<Connection>,
    response: Response<Incoming>,
    upload: Option<Arc<BodyWatch>>,
}

async fn answer(invocation: &mut Invocation, target: &Target, request: Request<Body>) -> Result<Answer, Failure> {
    let shared = Arc::clone(&invocation.shared);
    let version = invocation.version();
    if version.function.kind == FunctionKind::Event {
        return Err(Failure::event_function(&version.function.key));
    }
    check(&request, &shared.config)?;
    let is_call = grpc::is_call(request.headers());
    let limit = request_limit(request.extensions(), is_call, &shared.config);
    let (request, upload) = outgoing(request, limit, is_call)?;
    let progress = || upload.as_ref().map_or(Progress::Complete, |watch| watch.progress());
    let answered = if is_call {
        invocation.dispatch_by(target, request, send_h2).await.map(|response| (None, response))
    } else {
        invocation.dispatch(target, request).await.map(|(connection, response)| (Some(connection), response))
    };
    let (connection, response) = match answered {
        Ok(answer) => answer,
        Err(_) if progress() == Progress::TooLarge => return Err(Failure::request_too_large(limit)),
        Err(_) if progress() == Progress::CallerGone => return Err(Failure::caller_gone()),
        Err(failure) => return Err(failure),
    };
    check_answer(response.status(), response.headers(), response.body().size_hint().lower(), &shared.config)?;
    Ok(Answer { connection, response, upload })
}

fn check(request: &Request<Body>, config: &Config) -> Result<(), Failure> {
    if request.method() == Method::CONNECT {
        return Err(Failure::tunnel());
    }
    let announced = announced_bytes(request);
    let limit = request_limit(request.extensions(), grpc::is_call(request.headers()), config);
    if limit.is_exceeded_by(announced) {
        return Err(Failure::request_too_large(limit));
    }
    Ok(())
}

/// What the body of a request, or of a gRPC call, may have.
fn request_limit(extensions: &Extensions, is_call: bool, config: &Config) -> Limit {
    let of_all = match is_call {
        true => Limit::new("invoke.grpc_request_bytes_max", config.grpc_request_bytes_max),
        false => Limit::new("invoke.web_request_bytes_max", config.web_request_bytes_max),
    };
    match extensions.get::<RequestBytesMax>() {
        Some(RequestBytesMax(own)) if of_all.bytes_max == 0 || *own < of_all.bytes_max => {
            Limit::new("body_bytes_max of [[gateway.limits]]", *own)
        }
        _ => of_all,
    }
}

fn announced_bytes(request: &Request<Body>) -> u64 {
    let header = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    request.body().size_hint().lower().max(header.unwrap_or(0))
}

fn check_answer(status: StatusCode, map: &HeaderMap, body_bytes: u64, config: &Config) -> Result<(), Failure> {
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

/// Refuses an answer with more headers than callers should have to take.
pub(crate) fn check_headers(map: &HeaderMap, config: &Config) -> Result<(), Failure> {
    let bytes = headers::bytes(map);
    if bytes > config.web_response_headers_bytes_max {
        return Err(Failure::response_headers_too_large(bytes, config.web_response_headers_bytes_max));
    }
    Ok(())
}

/// The caller's request as HTTP/1.1 to the instance; its platform headers follow when the instance is known.
fn outgoing(
    request: Request<Body>,
    limit: Limit,
    is_call: bool,
) -> Result<(Request<RequestBody>, Option<Arc<BodyWatch>>), Failure> {
    let (mut head, body) = request.into_parts();
    framing::of_request(&mut head.headers).map_err(|invalid| Failure::invalid_framing(&invalid))?;
    headers::towards_instance(&mut head.headers, head.uri.authority());
    let (upload, watch) = RequestBody::stream(body, limit);
    let has_length = head.headers.contains_key(CONTENT_LENGTH) || upload.size_hint().exact().is_some();
    if watch.is_some() && !has_length && !is_call {
        // Without it the library takes a GET to have no body.
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let mut request = Request::new(upload);
    *request.version_mut() = Version::HTTP_11;
    *request.method_mut() = head.method;
    *request.uri_mut() = origin_form(&head.uri);
    *request.headers_mut() = head.headers;
    if is_call {
        grpc::to_http2(&mut request);
    }
    Ok((request, watch))
}

/// Path and query alone, as a server expects them.
pub(crate) fn origin_form(uri: &Uri) -> Uri {
    Uri::from(uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")))
}

/// The answer for the caller; its body carries the invocation to its end.
fn stream(invocation: Invocation, answer: Answer) -> Response<Body> {
    let Answer { connection, response, upload } = answer;
    let (mut head, body) = response.into_parts();
    headers::from_instance(&mut head.headers);
    head.version = Version::HTTP_11;
    let reason = head.extensions.remove::<ReasonPhrase>();
    head.extensions.clear();
    reason.into_iter().for_each(|reason| drop(head.extensions.insert(reason)));
    match ResponseBody::begin(invocation, connection, body, upload) {
        Some(download) => Response::from_parts(head, download.boxed_unsync()),
        None => Response::from_parts(head, Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync()),
    }
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
            assert_eq!(origin_form(&uri.parse().expect("valid")).to_string(), wanted);
        }
    }

    #[test]
    fn answers_over_a_limit_are_refused() {
        let config = Config { web_response_bytes_max: 10, web_response_headers_bytes_max: 20, ..Config::default() };
        let mut map = HeaderMap::new();
        map.insert("x-a", headers::value("0123456789"));
        assert!(check_answer(StatusCode::OK, &map, 10, &config).is_ok());
        assert_eq!(check_answer(StatusCode::OK, &map, 11, &config).expect_err("long").status.code(), 407);
        map.insert("x-b", headers::value("0123456789"));
        assert_eq!(check_answer(StatusCode::OK, &map, 0, &config).expect_err("long").status.code(), 407);
        let unlimited = Config { web_response_bytes_max: 0, ..config };
        assert!(check_answer(StatusCode::OK, &HeaderMap::new(), u64::MAX, &unlimited).is_ok());
    }
}
