//! One request over the HTTP/2 connection of an instance, which is opened on demand.

use connections::{FrameLimits, Metered};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use pool::Instance;

use super::client;
use super::connect::open_stream;
use super::error::{ResponseError, UpstreamError};
use super::in_flight::InFlight;
use super::state::UpstreamState;
use crate::config::Config;
use crate::framing;
use crate::headers::Stamp;
use crate::request_body::RequestBody;

/// Sends a request and waits for the response head. An abandoned one ends with a reset of its
/// stream (RFC 9113, 6.4), so its connection is not recorded.
pub(crate) async fn send_h2(
    instance: &Instance<UpstreamState>,
    mut request: Request<RequestBody>,
    stamp: Stamp<'_>,
    config: &Config,
    _: &InFlight,
) -> Result<Response<Incoming>, UpstreamError> {
    stamp.insert(request.headers_mut());
    let method = request.method().clone();
    if let Some(mut open) = instance.slot.h2().get(instance.suspensions(), config.kept_connection_max())
        && open.ready().await.is_ok()
    {
        match open.try_send_request(request).await {
            Ok(response) => return framed(&method, response, config),
            Err(mut error) => match error.take_message() {
                // It was closed meanwhile, and nothing was sent.
                Some(unsent) => request = unsent,
                None => return Err(UpstreamError::lost(error.error())),
            },
        }
    }
    let stream = match open_stream(instance, config.connect_max()).await {
        Ok(stream) => stream,
        Err(error) => return Err(UpstreamError::Unreachable { error, request: Box::new(request) }),
    };
    let (mut sender, connection) = client::http2(config)
        .handshake(TokioIo::new(metered(stream, config)))
        .await
        .map_err(|error| UpstreamError::lost(&error))?;
    // It ends with the connection: when the instance ends, or when the last sender is dropped.
    tokio::spawn(connection);
    instance.slot.h2().set(sender.clone(), instance.suspensions());
    let response = sender.send_request(request).await.map_err(|error| UpstreamError::lost(&error))?;
    framed(&method, response, config)
}

/// Meters frames without payload, which cost a server little and the platform much.
fn metered<S>(stream: S, config: &Config) -> Metered<S> {
    let (burst_max, per_second_max) = (config.h2_control_frames_max, config.h2_control_frames_per_s_max);
    Metered::to_server(stream, FrameLimits { burst_max, per_second_max })
}

/// A response with the one length that counts.
fn framed(
    method: &Method,
    mut response: Response<Incoming>,
    config: &Config,
) -> Result<Response<Incoming>, UpstreamError> {
    let status = response.status();
    framing::of_response(method, status, response.headers_mut())
        .map_err(|invalid| ResponseError::from(invalid).into_upstream(config))?;
    Ok(response)
}
