//! WebSocket connections of web functions (contract 4.12): one connection is one invocation. The
//! upgrade request is sent to an instance like any other; when its server switches protocols, the
//! caller's connection is switched too, and frames are relayed until either side closes it.
//!
//! ```text
//! open ──> dispatch (a lease, the server's 101) ──> 101 to the caller ──> relay ──> CloseCause
//!                          └ another response ──> the caller's response      (ends the invocation)
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
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use pool::Instance;
use tokio::time::timeout;
use types::{CatalogVersion, error_chain};

use self::relay::Limits;
use crate::call::{Body, empty_body};
use crate::config::Config;
use crate::failure::Failure;
use crate::headers::Stamp;
use crate::invocation::{Ending, Invocation};
use crate::limit::Limit;
use crate::request_body::RequestBody;
use crate::upstream::{
    self, InFlight, InterimResponses, ResponseError, Socket, UpstreamError, UpstreamState, open_stream,
};
use crate::web_request::origin_form;
use crate::web_response::check_headers;
use crate::{framing, headers};

/// The API's name of the protocol, in `ProtocolType`.
const PROTOCOL: &str = "WS";
/// Idle timeout when the function sets none (contract 3), in seconds.
const IDLE_S: u64 = 15;

/// The server's response to the upgrade request.
pub(crate) enum Opened {
    /// It switched protocols.
    Switched { response: Response<()>, caller: OnUpgrade, server: Upgraded },
    /// It responded with something else.
    Refused(Response<Body>),
}

/// The server's part of [`Opened`].
enum Switch {
    Switched(Response<()>, Upgraded),
    Refused(Response<Body>),
}

/// Requests the connection from an instance.
pub(crate) async fn open(invocation: &mut Invocation, mut request: Request<Body>) -> Result<Opened, Failure> {
    let version = invocation.version();
    if version.function.protocol.as_deref() != Some(PROTOCOL) {
        return Err(Failure::no_websocket(&version.function.key));
    }
    let caller = request.extensions_mut().remove::<OnUpgrade>().filter(|_| request.method() == Method::GET);
    let caller = caller.ok_or_else(Failure::bad_upgrade)?;
    let switched = invocation.dispatch(outgoing(request), switch).await?;
    let config = &invocation.context.config;
    Ok(match switched {
        Switch::Switched(response, server) => {
            check_headers(response.headers(), config)?;
            Opened::Switched { response, caller, server }
        }
        Switch::Refused(response) => {
            check_headers(response.headers(), config)?;
            Opened::Refused(response)
        }
    })
}

impl Opened {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Switched { response, .. } => response.status(),
            Self::Refused(response) => response.status(),
        }
    }

    /// The response for the caller. A task owns the connection, and with it the invocation, until
    /// its end.
    pub fn carry(self, invocation: Invocation) -> Response<Body> {
        match self {
            Self::Switched { response, caller, server } => {
                let context = Arc::clone(&invocation.context);
                context.tasks.spawn_on(carry(invocation, caller, server), &context.runtime);
                response.map(|()| empty_body())
            }
            Self::Refused(response) => {
                invocation.finish_later(Ending::Success);
                response
            }
        }
    }
}

/// Converts the caller's request to one to the instance.
fn outgoing(request: Request<Body>) -> Request<RequestBody> {
    let (mut head, _) = request.into_parts();
    headers::towards_instance(&mut head.headers, head.uri.authority());
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let mut request = Request::new(RequestBody::Empty);
    *request.uri_mut() = origin_form(head.uri);
    *request.headers_mut() = head.headers;
    request
}

/// Sends the request to an instance, over a connection of its own that does not become idle.
async fn switch(
    instance: &Instance<UpstreamState>,
    mut request: Request<RequestBody>,
    stamp: Stamp<'_>,
    config: &Config,
    _: &InFlight,
) -> Result<Switch, UpstreamError> {
    stamp.insert(request.headers_mut());
    let stream = match open_stream(instance, config.connect_max()).await {
        Ok(stream) => stream,
        Err(error) => return Err(UpstreamError::Unreachable { error, request: Box::new(request) }),
    };
    let socket = Socket::new(stream, config);
    let (mut sender, connection) =
        upstream::http1(config).handshake(socket.clone()).await.map_err(|error| UpstreamError::lost(&error))?;
    let interim = InterimResponses::watch(&mut request, config, &socket);
    let mut connection = Some(Box::pin(connection.with_upgrades()));
    let mut response = pin!(sender.send_request(request));
    let response = poll_fn(|cx| {
        // Its error reaches the response.
        if connection.as_mut().is_some_and(|driven| driven.as_mut().poll(cx).is_ready()) {
            connection = None;
        }
        if interim.is_over() {
            Poll::Ready(Err(ResponseError::TooManyInterim))
        } else {
            response.as_mut().poll(cx).map_err(ResponseError::from)
        }
    });
    let mut response = response.await.map_err(|error| error.into_upstream(config))?;
    // It ends with the connection, or hands it over.
    connection.map(tokio::spawn);
    let status = response.status();
    framing::of_response(&Method::GET, status, response.headers_mut())
        .map_err(|invalid| ResponseError::from(invalid).into_upstream(config))?;
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return refused(response, config).await;
    }
    let server = hyper::upgrade::on(&mut response).await.map_err(|error| UpstreamError::lost(&error))?;
    let (mut head, _) = response.into_parts();
    headers::from_instance(&mut head.headers);
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    head.extensions.clear();
    Ok(Switch::Switched(Response::from_parts(head, ()), server))
}

async fn refused(response: Response<Incoming>, config: &Config) -> Result<Switch, UpstreamError> {
    let (mut head, body) = response.into_parts();
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
    Ok(Switch::Refused(Response::from_parts(head, body)))
}

async fn carry(invocation: Invocation, caller: OnUpgrade, server: Upgraded) {
    let limits = limits(&invocation);
    // The caller's connection is available once the 101 is sent.
    let ending = match timeout(invocation.context.config.websocket_close_wait_max(), caller).await {
        Ok(Ok(caller)) => {
            let over = relay::relay(TokioIo::new(caller), TokioIo::new(server), &limits).await;
            over.ending(limits.idle_s, limits.timeout_s)
        }
        Ok(Err(_)) | Err(_) => Ending::Failed(Failure::caller_gone()),
    };
    invocation.finish_later(ending);
}

fn limits(invocation: &Invocation) -> Limits {
    let (version, deadline) = (invocation.version(), invocation.deadline());
    let config = &invocation.context.config;
    Limits {
        deadline,
        idle_s: idle_s(version),
        timeout_s: version.spec.timeout_s,
        frame_bytes_max: config.websocket_frame_bytes_max,
        response_frame_bytes_max: config.websocket_response_frame_bytes_max,
        frames_per_s_max: config.websocket_frames_per_s_max,
        bytes_per_s_max: config.websocket_bytes_per_s_max,
        close_wait_max: config.websocket_close_wait_max(),
        leaving: invocation.context.leaving.clone(),
    }
}

/// `ProtocolParams.WSParams.IdleTimeOut`.
fn idle_s(version: &CatalogVersion) -> u64 {
    let params = version.spec.carried.get("ProtocolParams").and_then(|params| params.get("WSParams"));
    params.and_then(|params| params.get("IdleTimeOut")?.as_u64()).unwrap_or(IDLE_S).max(1)
}
