//! One HTTP/1.1 request to an instance: over an idle connection or a new one, retried where that
//! cannot run it twice.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use pool::Instance;
use tokio::time::timeout;
use types::error_chain;

use super::connect::connect;
use super::connection::Connection;
use super::error::{ResponseError, UpstreamError};
use super::idle_connections::Taken;
use super::in_flight::InFlight;
use super::retry::Retry;
use super::state::UpstreamState;
use crate::config::Config;
use crate::failure::Failure;
use crate::headers::Stamp;
use crate::limit::Limit;
use crate::request_body::RequestBody;

/// A response head, and the connection of its body.
pub(crate) type Received = (Connection, Response<Incoming>);

/// New connections for a request that comes back unsent.
const NEW_CONNECTIONS_MAX: u32 = 2;

/// Sends a request over an idle connection, or a new one. A request that was not sent is sent over
/// another connection; one that may have been processed when its idle connection broke is retried
/// once over a new one, only when it is idempotent and has no body.
pub(crate) async fn send(
    instance: &Instance<UpstreamState>,
    mut request: Request<RequestBody>,
    stamp: Stamp<'_>,
    config: &Config,
    in_flight: &InFlight,
) -> Result<Received, UpstreamError> {
    let mut delivered = None;
    let concurrency = concurrency(instance);
    while delivered.is_none()
        && let Some(Taken { mut connection, idle }) =
            instance.slot.idle().take(instance.suspensions(), config.kept_connection_max(), concurrency)
    {
        if !connection.is_ready().await {
            instance.slot.idle().closed_after(idle);
            continue;
        }
        let retry = Retry::of(&request);
        in_flight.begin(&connection);
        let failed = match connection.send(request, stamp).await {
            Ok(response) => return Ok((connection, response)),
            Err(failed) => failed,
        };
        if !failed.error.is_response() {
            instance.slot.idle().closed_after(idle);
        }
        match (failed.unsent, retry) {
            (Some(unsent), _) => request = unsent,
            (None, Some(retry)) if !failed.error.is_response() => {
                request = retry.into_request();
                delivered = Some(failed.error);
            }
            (None, _) => return Err(failed.error.into_upstream(config)),
        }
    }
    send_over_new(instance, request, stamp, delivered, config, in_flight).await
}

/// Sends a request over a new connection. `delivered` is the failure of an earlier connection that
/// it was sent over.
async fn send_over_new(
    instance: &Instance<UpstreamState>,
    mut request: Request<RequestBody>,
    stamp: Stamp<'_>,
    delivered: Option<ResponseError>,
    config: &Config,
    in_flight: &InFlight,
) -> Result<Received, UpstreamError> {
    let mut connections_left = NEW_CONNECTIONS_MAX;
    loop {
        let mut new = match connect(instance, config).await {
            Ok(new) => new,
            Err(error) => {
                return Err(match delivered {
                    Some(first) => UpstreamError::ConnectionLost(error_chain(&first)),
                    None => UpstreamError::Unreachable { error, request: Box::new(request) },
                });
            }
        };
        connections_left -= 1;
        in_flight.begin(&new);
        let failed = match received_or_close_idle(instance, new.send(request, stamp), config).await {
            Ok(response) => return Ok((new, response)),
            Err(failed) => failed,
        };
        match failed.unsent {
            Some(unsent) if connections_left > 0 => request = unsent,
            _ => return Err(failed.error.into_upstream(config)),
        }
    }
}

/// Waits for a response head over a new connection. A server that serves one connection at a time
/// reads it only when the earlier ones are closed: idle ones are closed until the response arrives.
async fn received_or_close_idle<T>(
    instance: &Instance<UpstreamState>,
    sent: impl Future<Output = T>,
    config: &Config,
) -> T {
    if concurrency(instance) == 1 {
        return sent.await;
    }
    let mut sent = pin!(sent);
    loop {
        match timeout(config.unanswered_wait(), &mut sent).await {
            Ok(received) => return received,
            Err(_) => {
                if instance.slot.idle().close_idle() {
                    instance.slot.idle().serves_only_one();
                }
            }
        }
    }
}

/// The instance's concurrency.
fn concurrency(instance: &Instance<UpstreamState>) -> u32 {
    instance.version.spec.max_concurrency(instance.version.function.kind)
}

/// Reads a response body whole.
pub(crate) async fn read_whole(
    connection: &mut Connection,
    mut body: Incoming,
    limit: Limit,
) -> Result<Bytes, UpstreamError> {
    let too_large = || UpstreamError::BadResponse(Box::new(Failure::response_too_large(limit)));
    if body.size_hint().lower() > limit.bytes_max {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while !body.is_end_stream() {
        let frame = poll_fn(|cx| poll_frame(Some(connection), &mut body, cx)).await;
        let Some(frame) = frame.transpose().map_err(|error| UpstreamError::lost(&error))? else { break };
        let Ok(data) = frame.into_data() else { continue };
        if (first.len() + rest.len() + data.len()) as u64 > limit.bytes_max {
            return Err(too_large());
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first, rest.freeze()].concat().into())
}

/// The next frame of a body whose connection is driven here, or by its own task where there is
/// none. Polling for a frame makes the connection read it: it wakes the driver, which is then
/// polled again.
pub(crate) fn poll_frame(
    connection: Option<&mut Connection>,
    body: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    let Some(connection) = connection else { return Pin::new(body).poll_frame(cx) };
    connection.poll(cx, |cx| Pin::new(&mut *body).poll_frame(cx))
}
