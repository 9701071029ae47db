//! Asynchronous calls: `/async/<namespace>/<function>[:qualifier]/…` is answered with 202 once the
//! call is durable, and runs afterwards (decision 54).
//!
//! The body of a call of an event function is its event. A call of a web function is stored as a
//! whole, and replayed unchanged.

pub mod authorize;
mod body;
pub mod config;
pub mod error;
pub mod hooks;
mod options;
mod rates;

use std::sync::Arc;

use bytes::Bytes;
use events::{Accepted, Address, CHAIN_DEPTH_MAX, Events, InvokeType, NewEvent, SourceKey, WebRequest};
use http::header::{CONTENT_TYPE, EXPECT};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use invoke::{Protocol, ResolvedCall};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::time::Instant;
use types::limits::{ASYNC_EVENT_BYTES_MAX, JOB_EVENT_BYTES_MAX};
use types::{FunctionRecord, RequestId};

use self::authorize::Authorize;
use self::body::{Limit, Room};
use self::config::AsyncConfig;
use self::error::AsyncError;
use self::hooks::{Certificates, Hooks, TriggerRates};
use self::options::Options;
use self::rates::Rates;
use crate::client_headers;
use crate::error_response::{self, RequestError, X_SCF_REQUEST_ID};
use crate::lookup::Found;
use crate::request_body::RequestBody;
use crate::signed::{self, SentHead};

/// The request id's header on other platforms.
const X_CALL_ID: HeaderName = HeaderName::from_static("x-call-id");
/// Marks a response that repeats that of an earlier request with the same key.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The event of a call without a body, as in the cloud API.
const EMPTY_EVENT: &[u8] = b"{}";

/// Dependencies of asynchronous calls, provided by the platform.
#[derive(Clone)]
pub struct Asynchronous {
    /// The event queue.
    pub events: Events,
    /// Authorization of calls.
    pub authorize: Arc<dyn Authorize>,
    /// Dependencies of triggers that receive requests.
    pub hooks: Hooks,
}

/// Accepts asynchronous calls.
pub struct AsyncCalls {
    parts: Asynchronous,
    config: AsyncConfig,
    rates: Rates,
    room: Room,
    trigger_rates: TriggerRates,
    certificates: Certificates,
}

/// A request whose function is known.
pub struct Arrived<'a> {
    /// Its id.
    pub id: &'a RequestId,
    /// The function that it calls.
    pub found: Found,
    /// Its head as sent.
    pub sent: SentHead,
    /// Its head as the function receives it.
    pub parts: Parts,
    /// Its body.
    pub body: RequestBody<Incoming>,
    /// The body limit of its route.
    pub body_bytes_max: Option<u64>,
    /// Depth of the event in whose run an instance sends it.
    pub event_depth: Option<u32>,
    /// Whether the function's URL allows everyone to call.
    pub open: bool,
}

impl AsyncCalls {
    /// Creates it with the limits of a configuration.
    pub fn new(parts: Asynchronous, config: &AsyncConfig) -> Self {
        let (rates, room) = (Rates::new(config, Instant::now()), Room::new(config.held_bytes_max));
        Self {
            parts,
            config: config.clone(),
            rates,
            room,
            trigger_rates: TriggerRates::default(),
            certificates: Certificates::default(),
        }
    }

    /// Accepts a call: it is durable when this returns a response of 202.
    pub async fn accept(&self, arrived: Arrived<'_>) -> Result<Response<invoke::Body>, RequestError> {
        let Arrived { id, found, sent, mut parts, body, body_bytes_max, event_depth, open } = arrived;
        let function = Arc::clone(&found.function.record);
        if !open {
            self.parts.authorize.check_head(sent.headers()).map_err(AsyncError::Unauthorized)?;
        }
        let depth = invoke::chain_depth(sent.headers()).map_err(AsyncError::ChainDepth)?;
        let depth = depth.max(event_depth.map_or(0, invoke::deeper));
        if depth > CHAIN_DEPTH_MAX {
            log_end_of_chain(&function, id);
            return Err(AsyncError::ChainTooDeep.into());
        }
        let options = options::take(&mut parts.headers, &self.config).map_err(AsyncError::Option)?;
        let call = match ResolvedCall::of_request(&found.function, found.qualifier.clone(), id, &parts.headers) {
            Ok(call) => call,
            Err(unresolved) => return Ok(unresolved.into_response(id)),
        };
        let protocol = replayable(call.protocol(), &parts.method)?;
        let body = self.room.read(body, self.limit(&call, protocol, body_bytes_max)).await?;
        if !open {
            let authorize = self.parts.authorize.as_ref();
            sent.verify(authorize, &parts.method, &body.bytes).map_err(AsyncError::Unauthorized)?;
        }
        let payload = match protocol {
            Protocol::Event => event(body.bytes.clone())?,
            _ => stored(parts, body.bytes.clone(), open),
        };
        let bytes = payload.len() as u64;
        self.rates.admit(&function.key, bytes, Instant::now()).map_err(AsyncError::Rate)?;
        self.queue(id, &function, found, payload, (options, depth)).await
    }

    fn limit(&self, call: &ResolvedCall, protocol: Protocol, of_route: Option<u64>) -> Limit {
        let limit = match protocol {
            Protocol::Event => event_limit(call),
            _ => {
                let (bytes_max, limit) = (self.config.body_bytes_max, "setting gateway.async.body_bytes_max");
                Limit { what: "the body of an asynchronous call", bytes_max, limit }
            }
        };
        limit.within_route(of_route)
    }

    async fn queue(
        &self,
        id: &RequestId,
        function: &FunctionRecord,
        found: Found,
        payload: Bytes,
        (options, depth): (Options, u32),
    ) -> Result<Response<invoke::Body>, RequestError> {
        let config = found.function.event_invoke;
        let address =
            Address { function: function.key.clone(), function_id: function.id.clone(), qualifier: found.qualifier };
        let event = NewEvent {
            request_id: id.clone(),
            address,
            invoke_type: InvokeType::Invoke,
            payload,
            retries_max: config.retries_max,
            ttl_s: config.ttl_s,
            delay_s: options.delay_s,
        };
        let events = self.parts.events.at_depth(depth);
        let key = options.idempotency_key.map(|key| SourceKey { source: "idempotency".into(), key });
        let accepted = match (options.callback, key) {
            (Some(url), key) => events.accept_with_callback(event, key, &url).await,
            (None, Some(key)) => events.accept_once(event, key).await,
            (None, None) => events.accept(event).await.map(|()| Accepted::New),
        };
        match accepted.map_err(AsyncError::from)? {
            Accepted::New => Ok(answer(id, false)),
            Accepted::Before(first) => Ok(answer(&first, true)),
        }
    }
}

/// The limit of a call's event.
fn event_limit(call: &ResolvedCall) -> Limit {
    match call.version().spec.image.is_job() {
        true => {
            let limit = "as long as a variable of a process can be";
            Limit { what: "the event of a job image", bytes_max: JOB_EVENT_BYTES_MAX, limit }
        }
        false => {
            let limit = "the contract's limit of asynchronous events";
            Limit { what: "an asynchronous event", bytes_max: ASYNC_EVENT_BYTES_MAX, limit }
        }
    }
}

/// The protocol of a call that can run without a connected client.
fn replayable(protocol: Protocol, method: &Method) -> Result<Protocol, AsyncError> {
    match protocol {
        Protocol::Event if method != Method::POST => Err(AsyncError::Method),
        Protocol::WebSocket => Err(AsyncError::Protocol("a WebSocket connection")),
        Protocol::Grpc => Err(AsyncError::Protocol("a gRPC call")),
        protocol => Ok(protocol),
    }
}

/// The event in a body.
fn event(body: Bytes) -> Result<Bytes, AsyncError> {
    if body.is_empty() {
        return Ok(Bytes::from_static(EMPTY_EVENT));
    }
    // From a byte slice the library would not validate texts that it skips.
    let text = std::str::from_utf8(&body).map_err(|error| AsyncError::NotJson(error.to_string()))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| AsyncError::NotJson(error.to_string()))?;
    Ok(body)
}

/// The request to be replayed: without the headers of the client's connection, and without the
/// signature, which was for the platform.
fn stored(mut parts: Parts, body: Bytes, open: bool) -> Bytes {
    client_headers::end_connection(&mut parts.headers);
    parts.headers.remove(EXPECT);
    if !open {
        signed::strip(&mut parts.headers);
    }
    let target = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    WebRequest { method: parts.method, target, headers: parts.headers, body }.to_bytes()
}

/// Logs the end of a chain: a function that causes its own calls may ignore the responses.
fn log_end_of_chain(function: &FunctionRecord, request: &RequestId) {
    let (function, max) = (&function.key, CHAIN_DEPTH_MAX);
    tracing::warn!(%function, %request, max, "refused a call: the chain of events that caused it is too long");
}

/// The platform's own response to a request.
fn said(id: &RequestId, status: StatusCode, body: &serde_json::Value) -> Response<invoke::Body> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_SCF_REQUEST_ID, error_response::request_id_value(id));
    response.map(error_response::full)
}

fn answer(id: &RequestId, replayed: bool) -> Response<invoke::Body> {
    let mut response = said(id, StatusCode::ACCEPTED, &json!({"requestId": id.as_str()}));
    let headers = response.headers_mut();
    headers.insert(X_CALL_ID, error_response::request_id_value(id));
    if replayed {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_json_in_utf_8() {
        assert_eq!(event(Bytes::new()).ok(), Some(Bytes::from_static(EMPTY_EVENT)));
        for good in ["null", "\"h\u{e4}\"", "{\"n\":  1.0}"] {
            assert_eq!(event(Bytes::from_static(good.as_bytes())).ok(), Some(Bytes::from_static(good.as_bytes())));
        }
        for bad in [&b"\"\xff\""[..], b"{\"a\": \"\xc3(\"}", b"[\"\xed\xa0\x80\"]", b"{", b"\xef\xbb\xbf{}"] {
            assert!(matches!(event(Bytes::from_static(bad)), Err(AsyncError::NotJson(_))), "{bad:?}");
        }
    }
}
