//! Handles one HTTP request. Order of checks: method, head of the signature, byte quota, size,
//! signature, version, action.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::Method;
use http::request::Parts;
use jiff::Timestamp;
use signature::{Clock, Secrets};
use tracing::Instrument;
use types::{ApiError, ErrorCode, RequestId};

use crate::actions;
use crate::body::{self, Rooms, Vouched, too_large};
use crate::call::Call;
use crate::config::Config;
use crate::context::Context;
use crate::envelope::{Answer, respond};

/// State shared by requests.
pub(crate) struct Server {
    pub context: Context,
    pub secrets: Secrets,
    /// Byte quotas for the bodies of calls in flight.
    pub rooms: Rooms,
}

/// Handles a request for an action of the cloud API.
pub(crate) async fn serve(State(server): State<Arc<Server>>, request: Request) -> Response {
    answer_with(&server, request, actions::find).await
}

/// Handles a request for an extension.
pub(crate) async fn serve_extension(State(server): State<Arc<Server>>, request: Request) -> Response {
    answer_with(&server, request, actions::find_extension).await
}

/// Finds an action by its name.
type Find = fn(&str) -> Result<actions::Action, ApiError>;

/// Extension of a request that an instance sends: its address.
#[derive(Debug, Clone, Copy)]
pub struct FromInstance(pub IpAddr);

async fn answer_with(server: &Server, request: Request, find: Find) -> Response {
    let request_id = RequestId::random();
    let (parts, body) = request.into_parts();
    let outcome = answer(server, &parts, body, &request_id, find).await;
    respond(outcome, &request_id)
}

async fn answer(
    server: &Server,
    parts: &Parts,
    body: Body,
    request_id: &RequestId,
    find: Find,
) -> Result<Answer, ApiError> {
    let config = &server.context.config;
    if !matches!(parts.method, Method::GET | Method::POST) {
        let message = format!("method {} is not supported; send POST with a JSON body, or GET", parts.method);
        return Err(ApiError::new(ErrorCode::UNSUPPORTED_PROTOCOL, message));
    }
    let query_bytes = parts.uri.query().map_or(0, str::len);
    if query_bytes > config.query_bytes_max {
        return Err(too_large("the query", config.query_bytes_max, "query_bytes_max"));
    }
    let vouched = match Call::check_head(parts, &server.secrets, clock(config)) {
        Ok(vouched) => vouched,
        Err(refused) => {
            body::discard(parts, body, &server.rooms, config).await;
            return Err(refused);
        }
    };
    let by_header = invoke::chain_depth(&parts.headers)
        .map_err(|error| ApiError::new(ErrorCode::INVALID_VALUE, error.to_string()))?;
    let instance = parts.extensions.get::<FromInstance>().map(|FromInstance(address)| *address);
    // Held until the end of the call: the parsed parameters are about as large as the body.
    let (body, mut held) = body::read(body, vouched, &server.rooms, config).await?;
    let bytes = body.len();
    let call = Call::read(parts, body, &server.secrets, clock(config))?;
    if vouched == Vouched::ByItself {
        held = Some(server.rooms.vouch(bytes)?);
    }
    let action = find(&call.action)?;
    let event_depth = match instance {
        Some(address) => server.context.invoker.event_depth(address).await,
        None => None,
    };
    let chain_depth = by_header.max(event_depth.map_or(0, invoke::deeper));
    let started = Instant::now();
    let span = tracing::info_span!("action", action = action.name, request = %request_id);
    let caller = actions::Caller { id: request_id.clone(), host: call.host, chain_depth, instance, event_depth };
    let outcome = (action.run)(&server.context, call.params, caller).instrument(span).await;
    drop(held);
    let outcome = outcome.map_err(|failure| failure.into_client_error(action.name, request_id));
    let code = outcome.as_ref().err().map_or("", |error| error.code.name);
    tracing::debug!(action = action.name, %request_id, code, "answered");
    metrics::counter!("sampan_api_calls_total", "action" => action.name, "code" => code).increment(1);
    metrics::histogram!("sampan_api_call_seconds", "action" => action.name).record(started.elapsed().as_secs_f64());
    outcome
}

fn clock(config: &Config) -> Clock {
    Clock { now_s: Timestamp::now().as_second(), window_s: config.clock_window_s }
}
