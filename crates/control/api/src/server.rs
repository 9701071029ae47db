//! HTTP in, HTTP out: method, size and time of the request's body, and the answer to whatever happens.
//!
//! Owns the order of checks: method, room, size, signature, version, action. Must not know what actions do.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http_body_util::BodyExt;
use jiff::Timestamp;
use signature::Clock;
use tokio::sync::OwnedSemaphorePermit;
use types::{ApiError, ErrorCode, RequestId};

use crate::actions;
use crate::call::Call;
use crate::config::Config;
use crate::envelope::{Answer, respond};
use crate::handle::{Api, Inner};

/// The unit in which room for bodies is counted, and what a call counts for at least.
pub(crate) const HELD_UNIT_BYTES: usize = 64 << 10;

/// Answers one request for an action of the cloud API.
pub(crate) async fn serve(State(Api(api)): State<Api>, request: Request) -> Response {
    answer_with(&api, request, actions::find).await
}

/// Answers one request for an action that the cloud API does not have.
pub(crate) async fn serve_extension(State(Api(api)): State<Api>, request: Request) -> Response {
    answer_with(&api, request, actions::find_extension).await
}

/// Finds an action by its name.
type Find = fn(&str) -> Result<actions::Action, ApiError>;

async fn answer_with(api: &Arc<Inner>, request: Request, find: Find) -> Response {
    let request_id = RequestId::random();
    let (parts, body) = request.into_parts();
    let outcome = answer(api, &parts, body, &request_id, find).await;
    respond(outcome, &request_id)
}

async fn answer(
    api: &Arc<Inner>,
    parts: &Parts,
    body: Body,
    request_id: &RequestId,
    find: Find,
) -> Result<Answer, ApiError> {
    let config = &api.context.config;
    if !matches!(parts.method, Method::GET | Method::POST) {
        let message = format!("method {} is not supported; send POST with a JSON body, or GET", parts.method);
        return Err(ApiError::new(ErrorCode::UNSUPPORTED_PROTOCOL, message));
    }
    let query_bytes = parts.uri.query().map_or(0, str::len);
    if query_bytes > config.query_bytes_max {
        return Err(too_large("the query", config.query_bytes_max, "query_bytes_max"));
    }
    // Held until the call has ended: what was parsed from the body is about as large.
    let _held = room(api, parts)?;
    let body = read_body(body, config).await?;
    let now_s = Timestamp::now().as_second();
    let clock = Clock { now_s, window_s: config.clock_window_s };
    let call = Call::read(parts, body, &api.secrets, clock, config)?;
    let action = find(&call.action)?;
    let started = Instant::now();
    let outcome = (action.run)(&api.context, call.params, request_id.clone()).await;
    let outcome = outcome.map_err(|failure| failure.tell(action.name, request_id));
    let code = outcome.as_ref().err().map_or("", |error| error.code.name);
    tracing::debug!(action = action.name, %request_id, code, "answered");
    metrics::counter!("sampan_api_calls_total", "action" => action.name, "code" => code).increment(1);
    metrics::histogram!("sampan_api_call_seconds", "action" => action.name).record(started.elapsed().as_secs_f64());
    outcome
}

/// Room for the body of one call: by its length where it tells one, else for the longest.
fn room(api: &Inner, parts: &Parts) -> Result<OwnedSemaphorePermit, ApiError> {
    let config = &api.context.config;
    let told = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let unknown = if parts.method == Method::GET { 0 } else { config.body_bytes_max };
    let bytes = told.unwrap_or(unknown).min(config.body_bytes_max).min(config.held_bytes_max);
    let units = u32::try_from(bytes.div_ceil(HELD_UNIT_BYTES)).unwrap_or(u32::MAX).max(1);
    api.held.clone().try_acquire_many_owned(units).map_err(|_| {
        let message =
            format!("calls under way hold {} bytes already, [api] held_bytes_max; try again", config.held_bytes_max);
        ApiError::new(ErrorCode::REQUEST_LIMIT_EXCEEDED, message)
    })
}

fn too_large(what: &str, bytes_max: usize, key: &str) -> ApiError {
    ApiError::new(
        ErrorCode::REQUEST_SIZE_LIMIT_EXCEEDED,
        format!("{what} is longer than the limit of {bytes_max} bytes, [api] {key}"),
    )
}

async fn read_body(body: Body, config: &Config) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(config.body_wait_max(), collect(body, config)).await {
        Ok(read) => read,
        Err(_) => {
            let message = format!("the body of the request did not arrive within {} ms", config.body_wait_ms_max);
            Err(ApiError::new(ErrorCode::INVALID_REQUEST, message))
        }
    }
}

/// Reads a body. One that is too long is read to its end or to a second limit and thrown away: a client that is cut off
/// while it sends sees a broken connection in place of the error.
async fn collect(mut body: Body, config: &Config) -> Result<Bytes, ApiError> {
    let mut read = BytesMut::new();
    let mut discarded = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ApiError::new(ErrorCode::INVALID_REQUEST, format!("the body of the request broke off: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        match &mut discarded {
            None if read.len() + data.len() <= config.body_bytes_max => read.extend_from_slice(&data),
            None => {
                discarded = Some(data.len());
                read = BytesMut::new();
            }
            Some(bytes) => *bytes += data.len(),
        }
        if discarded.is_some_and(|bytes| bytes > config.discarded_bytes_max) {
            break;
        }
    }
    match discarded {
        None => Ok(read.freeze()),
        Some(_) => Err(too_large("the body of the request", config.body_bytes_max, "body_bytes_max")),
    }
}
