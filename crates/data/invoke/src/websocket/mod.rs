//! WebSocket connections of web functions (contract 4.12): one connection is one invocation. The request that asks for it
//! goes to an instance as any does; when its server switches protocols, so does the caller's connection, and frames pass
//! until one of the two closes it.
//!
//! ```text
//! serve ──> dispatch (a lease, the server's 101) ──> 101 to the caller ──> relay ──> ending ──> the invocation's end
//!                          └ another answer ──> the caller's answer
//! ```

mod close;
pub(crate) mod frames;
mod rate_limit;
mod relay;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use pool::Instance;
use tokio::time::timeout;
use types::{CatalogVersion, FunctionKind, RequestId};

use self::relay::Limits;
use crate::call::{Body, Target};
use crate::config::Config;
use crate::context::Context;
use crate::failure::Failure;
use crate::invocation::{Ending, Invocation};
use crate::limit::Limit;
use crate::metering;
use crate::request_body::RequestBody;
use crate::upstream::{
    self, InterimResponses, ResponseError, Socket, UpstreamError, UpstreamState, error_chain, open_stream,
};
use crate::web::{check_headers, origin_form, resolve};
use crate::{framing, headers};

/// The API's name of the protocol, in `ProtocolType`.
const PROTOCOL: &str = "WS";
/// Silence that ends a connection when the function says nothing (contract 3), in seconds.
const IDLE_S: u64 = 15;

/// What the instance's server said.
enum Opened {
    /// It switched protocols.
    Switched(Response<()>, Upgraded),
    /// It answered with something else.
    Refused(Response<Body>),
}

/// Answers a request for a WebSocket connection, and carries the connection to its end.
pub(crate) async fn serve(
    shared: &Arc<Context>,
    target: &Target,
    id: &RequestId,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let version = resolve(shared, target, id, request.headers())?;
    let mut invocation = Invocation::begin(shared, id.clone(), version, &target.qualifier);
    match open(&mut invocation, target, request).await {
        Ok((caller, Opened::Switched(answer, server))) => {
            metering::answered(&invocation.version(), answer.status());
            shared.tasks.spawn_on(carry(invocation, caller, server), &shared.runtime);
            Ok(answer.map(|()| Empty::new().map_err(|never| match never {}).boxed_unsync()))
        }
        Ok((_, Opened::Refused(answer))) => {
            metering::answered(&invocation.version(), answer.status());
            invocation.finish_later(Ending::Success);
            Ok(answer)
        }
        Err(failure) => {
            invocation.finish_later(Ending::Failed(failure.clone()));
            Err(failure)
        }
    }
}

async fn open(
    invocation: &mut Invocation,
    target: &Target,
    mut request: Request<Body>,
) -> Result<(OnUpgrade, Opened), Failure> {
    let version = invocation.version();
    if version.function.kind == FunctionKind::Event {
        return Err(Failure::event_function(&version.function.key));
    }
    if version.function.protocol.as_deref() != Some(PROTOCOL) {
        return Err(Failure::no_websocket(&version.function.key));
    }
    let caller = request.extensions_mut().remove::<OnUpgrade>().filter(|_| request.method() == Method::GET);
    let caller = caller.ok_or_else(Failure::bad_upgrade)?;
    let opened = invocation.dispatch_by(target, outgoing(request), switch).await?;
    let answered = match &opened {
        Opened::Switched(answer, _) => answer.headers(),
        Opened::Refused(answer) => answer.headers(),
    };
    check_headers(answered, &invocation.shared.config)?;
    Ok((caller, opened))
}

/// The caller's request, which asks the instance for what the caller asked the platform for.
fn outgoing(request: Request<Body>) -> Request<RequestBody> {
    let (mut head, _) = request.into_parts();
    headers::towards_instance(&mut head.headers, head.uri.authority());
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let mut request = Request::new(RequestBody::Empty);
    *request.uri_mut() = origin_form(&head.uri);
    *request.headers_mut() = head.headers;
    request
}

/// Asks an instance, over a connection of its own that is not kept.
async fn switch(
    instance: &Instance<UpstreamState>,
    mut request: Request<RequestBody>,
    config: &Config,
) -> Result<Opened, UpstreamError> {
    let stream = match open_stream(instance, config.connect_max()).await {
        Ok(stream) => stream,
        Err(error) => return Err(UpstreamError::Unreachable { error, request: Box::new(request) }),
    };
    let socket = Socket::new(stream);
    let (mut sender, connection) =
        upstream::http1(config).handshake(socket.clone()).await.map_err(|error| UpstreamError::lost(&error))?;
    let interim = InterimResponses::watch(&mut request, config, &socket);
    let mut connection = Some(Box::pin(connection.with_upgrades()));
    let mut answer = pin!(sender.send_request(request));
    let answer = poll_fn(|cx| {
        // How it ended is seen at the answer.
        if connection.as_mut().is_some_and(|driven| driven.as_mut().poll(cx).is_ready()) {
            connection = None;
        }
        if interim.is_over() {
            Poll::Ready(Err(ResponseError::TooManyInterim))
        } else {
            answer.as_mut().poll(cx).map_err(ResponseError::from)
        }
    });
    let mut answer = answer.await.map_err(|error| error.into_upstream(config))?;
    // It ends with the connection, or hands it over.
    connection.map(tokio::spawn);
    let status = answer.status();
    framing::of_response(&Method::GET, status, answer.headers_mut())
        .map_err(|invalid| ResponseError::from(invalid).into_upstream(config))?;
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return refused(answer, config).await;
    }
    let server = hyper::upgrade::on(&mut answer).await.map_err(|error| UpstreamError::lost(&error))?;
    let (mut head, _) = answer.into_parts();
    headers::from_instance(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    head.extensions.clear();
    Ok(Opened::Switched(Response::from_parts(head, ()), server))
}

async fn refused(answer: Response<Incoming>, config: &Config) -> Result<Opened, UpstreamError> {
    let (mut head, body) = answer.into_parts();
    let bytes_max = config.websocket_refusal_bytes_max;
    let limit = Limit::new("invoke.websocket_refusal_bytes_max", bytes_max as u64);
    let body = Limited::new(body, bytes_max).collect().await.map_err(|error| match error.is::<LengthLimitError>() {
        true => UpstreamError::BadResponse(Box::new(Failure::response_too_large(limit))),
        false => UpstreamError::ConnectionLost(error_chain(&*error)),
    })?;
    let body = body.to_bytes();
    headers::from_instance(&mut head.headers);
    head.extensions.clear();
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Ok(Opened::Refused(Response::from_parts(head, body)))
}

async fn carry(mut invocation: Invocation, caller: OnUpgrade, server: Upgraded) {
    let limits = limits(&mut invocation);
    // The caller's connection is ours when the 101 is out.
    let ending = match timeout(invocation.shared.config.websocket_close_wait_max(), caller).await {
        Ok(Ok(caller)) => {
            let over = relay::relay(TokioIo::new(caller), TokioIo::new(server), &limits).await;
            over.ending(limits.idle_s, limits.timeout_s)
        }
        Ok(Err(_)) | Err(_) => Ending::Failed(Failure::caller_gone()),
    };
    invocation.finish_later(ending);
}

fn limits(invocation: &mut Invocation) -> Limits {
    let (version, deadline) = (invocation.version(), invocation.deadline());
    let config = &invocation.shared.config;
    Limits {
        deadline,
        idle_s: idle_s(&version),
        timeout_s: version.spec.timeout_s,
        frame_bytes_max: config.websocket_frame_bytes_max,
        response_frame_bytes_max: config.websocket_response_frame_bytes_max,
        frames_per_s_max: config.websocket_frames_per_s_max,
        bytes_per_s_max: config.websocket_bytes_per_s_max,
        close_wait_max: config.websocket_close_wait_max(),
        leaving: invocation.shared.leaving.clone(),
    }
}

/// `ProtocolParams.WSParams.IdleTimeOut`.
fn idle_s(version: &CatalogVersion) -> u64 {
    let params = version.spec.carried.get("ProtocolParams").and_then(|params| params.get("WSParams"));
    params.and_then(|params| params.get("IdleTimeOut")?.as_u64()).unwrap_or(IDLE_S).max(1)
}
