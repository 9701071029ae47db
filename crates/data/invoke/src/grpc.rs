//! gRPC calls (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md): over HTTP/2 without TLS to the instance, on one connection that
//! its requests share, and failures of the platform in the form that clients of gRPC read.
//!
//! A call is told by its content type. Must not know what calls say.

use std::time::Duration;

use connections::{FrameLimits, Metered};
use http::header::{CONTENT_TYPE, HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use pool::Instance;
use tokio::time::Instant;
use types::{RequestId, RunStatus};

use crate::answer_head::{self, AnswerError};
use crate::call::Body;
use crate::config::Config;
use crate::connection::Slot;
use crate::exchange::{Broken, chain, open_stream};
use crate::failure::Failure;
use crate::upload::Upload;
use crate::{framing, headers};

const KIND: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a request is a call of gRPC.
pub(crate) fn asks(map: &HeaderMap) -> bool {
    let kind = map.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.strip_prefix(KIND)).is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// The connection of an instance's calls, once there was one.
#[derive(Default)]
pub(crate) struct Shared(Mutex<Option<Kept>>);

struct Kept {
    sender: SendRequest<Upload>,
    /// When a call was sent over it last.
    used: Instant,
    /// Of the instance, when it was made.
    suspensions: u64,
}

impl Shared {
    /// The connection, unless its server may not keep it any more. Calls of one that is passed over go on to their ends.
    fn get(&self, suspensions: u64, unused_max: Duration) -> Option<SendRequest<Upload>> {
        let (mut shared, now) = (self.0.lock(), Instant::now());
        let kept = shared.take_if(|kept| {
            let young = now.saturating_duration_since(kept.used) < unused_max;
            !young || kept.suspensions != suspensions || kept.sender.is_closed()
        });
        drop(kept);
        let kept = shared.as_mut()?;
        kept.used = now;
        Some(kept.sender.clone())
    }

    fn set(&self, sender: SendRequest<Upload>, suspensions: u64) {
        *self.0.lock() = Some(Kept { sender, used: Instant::now(), suspensions });
    }
}

/// The request as HTTP/2 has it: the host in its address, and no header of a single connection.
pub(crate) fn outgoing(request: &mut Request<Upload>) {
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

/// Sends a call and waits for the head of its answer.
pub(crate) async fn send(
    instance: &Instance<Slot>,
    request: Request<Upload>,
    config: &Config,
) -> Result<Response<Incoming>, Broken> {
    let lost = |error: &hyper::Error| Broken::Lost(chain(error));
    let method = request.method().clone();
    let mut request = request;
    if let Some(mut kept) = instance.slot.calls().get(instance.suspensions(), config.kept_connection_max())
        && kept.ready().await.is_ok()
    {
        match kept.try_send_request(request).await {
            Ok(answer) => return framed(&method, answer, config),
            Err(mut refused) => match refused.take_message() {
                // It was closed meanwhile, and nothing was sent.
                Some(unsent) => request = unsent,
                None => return Err(lost(refused.error())),
            },
        }
    }
    let stream = match open_stream(instance, config.connect_max()).await {
        Ok(stream) => stream,
        Err(error) => return Err(Broken::Unreached { error, request: Box::new(request) }),
    };
    let (mut sender, connection) = answer_head::http2(config)
        .handshake(TokioIo::new(metered(stream, config)))
        .await
        .map_err(|error| lost(&error))?;
    // It ends with the connection: when the instance does, or when nobody has a sender any more.
    tokio::spawn(connection);
    instance.slot.calls().set(sender.clone(), instance.suspensions());
    let answer = sender.send_request(request).await.map_err(|error| lost(&error))?;
    framed(&method, answer, config)
}

/// Frames that carry nothing cost a server little and us much.
fn metered<S>(stream: S, config: &Config) -> Metered<S> {
    let (burst_max, per_second_max) = (config.h2_control_frames_max, config.h2_control_frames_per_s_max);
    Metered::to_server(stream, FrameLimits { burst_max, per_second_max })
}

/// An answer with the one length that counts.
fn framed(method: &Method, mut answer: Response<Incoming>, config: &Config) -> Result<Response<Incoming>, Broken> {
    let status = answer.status();
    framing::of_answer(method, status, answer.headers_mut())
        .map_err(|misframed| AnswerError::from(misframed).broken(config))?;
    Ok(answer)
}

/// A failure of the platform as the answer to a call: a status and no message.
pub(crate) fn failed(failure: &Failure, request: &RequestId) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    let map = response.headers_mut();
    map.insert(CONTENT_TYPE, HeaderValue::from_static(KIND));
    map.insert(STATUS, HeaderValue::from(code(failure.status)));
    map.insert(MESSAGE, headers::value(&encoded(&failure.message)));
    map.insert(headers::REQUEST_ID, headers::value(request.as_str()));
    map.insert(headers::STATUS, HeaderValue::from(failure.status.code()));
    response
}

/// The status of gRPC that says the same (grpc/grpc, doc/statuscodes.md).
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
    fn calls_are_told_by_their_content_type() {
        let asked = |kind: &'static str| asks(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]));
        assert!(asked("application/grpc") && asked("application/grpc+proto") && asked("application/grpc;x=y"));
        assert!(!asked("application/grpc-web") && !asked("application/json") && !asks(&HeaderMap::new()));
    }

    #[test]
    fn a_call_has_its_host_in_its_address() {
        let mut request = Request::new(Upload::Empty);
        *request.uri_mut() = Uri::from_static("/svc/Method");
        request.headers_mut().insert(HOST, HeaderValue::from_static("a.b:80"));
        request.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("te"));
        outgoing(&mut request);
        assert_eq!(request.uri().to_string(), "http://a.b:80/svc/Method");
        assert_eq!((request.headers().len(), &request.headers()[TE]), (1, &HeaderValue::from_static("trailers")));
    }

    #[test]
    fn a_failure_is_a_status_with_a_message() {
        let id: RequestId = "3c4ed1bd-9c2e-4b0e-8c0c-0f3e6f0f3a11".parse().expect("valid");
        let answer = failed(&Failure::timed_out(3), &id);
        assert_eq!((answer.status().as_u16(), &answer.headers()[STATUS]), (200, &HeaderValue::from(4)));
        assert_eq!(encoded("50% é\n"), "50%25 %C3%A9%0A");
    }
}
