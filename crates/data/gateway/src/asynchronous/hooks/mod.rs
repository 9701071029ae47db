//! Triggers that receive requests: `POST /hooks/<namespace>/<function>[:qualifier]/<trigger>` is
//! answered with 202 once every event in it is durable (decision 55).

mod error;
mod kind;
mod rate;
mod sns;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use events::{Accepted, Address, InvokeType, NewEvent, SourceKey, WebRequest};
use formats::hook::{Delivery, Received, Request};
use formats::object::{Confirmation, may_confirm};
use futures_util::future::try_join_all;
use http::header::{AUTHORIZATION, EXPECT};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::body::Incoming;
use invoke::{Protocol, ResolvedCall};
use serde_json::json;
use tokio::time::Instant;
use types::{CatalogFunction, Installation, RequestId, Trigger};

use self::kind::Hook;
use super::body::Limit;
use super::error::AsyncError;
use super::{AsyncCalls, event, event_limit, said};
use crate::access::{self, Access};
use crate::client_headers;
use crate::error_response::RequestError;
use crate::request_body::RequestBody;
use crate::signed::SentHead;

pub use self::error::HookError;
pub use self::kind::find;
pub use self::rate::TriggerRates;
pub use self::sns::Certificates;

/// A boxed future.
pub type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

/// Dependencies of hooks besides the queue, provided by the platform.
#[derive(Clone)]
pub struct Hooks {
    /// HTTP client for SNS.
    pub confirm: Arc<dyn Confirm>,
    /// Hosts to which it may connect.
    pub confirm_hosts: Vec<String>,
    /// Whether messages of SNS are accepted whose signature cannot be checked.
    pub sns_unsigned: bool,
    /// The installation's identity in events.
    pub installation: Installation,
    /// Maximum of events of a trigger per minute.
    pub rate_per_minute_max: u32,
}

/// HTTP requests to SNS; implemented where there is an HTTP client.
pub trait Confirm: Send + Sync + 'static {
    /// Sends one request to the URL that confirms a subscription, without following redirects.
    fn confirm(&self, url: String) -> BoxFuture<Result<(), String>>;

    /// Fetches a certificate (PEM), without following redirects.
    fn certificate(&self, url: String) -> BoxFuture<Result<Vec<u8>, String>>;
}

/// A request whose function is known.
pub struct Called<'a> {
    /// Its id.
    pub id: &'a RequestId,
    /// The function.
    pub function: Arc<CatalogFunction>,
    /// The trigger that it addresses.
    pub trigger: Arc<Trigger>,
    /// Its head as sent.
    pub sent: SentHead,
    /// Its head as the function receives it.
    pub parts: Parts,
    /// Its body.
    pub body: RequestBody<Incoming>,
    /// Depth of the event in whose run an instance sends it.
    pub event_depth: Option<u32>,
    /// The body limit of its route.
    pub body_bytes_max: Option<u64>,
}

/// An event to accept.
struct Payload {
    bytes: Bytes,
    dedup_key: Option<String>,
    /// Number of events that led to it.
    depth: u32,
}

impl AsyncCalls {
    /// Accepts the events of a request: they are durable when this returns a response of 202.
    pub async fn receive(&self, called: Called<'_>) -> Result<Response<invoke::Body>, RequestError> {
        let Called { id, function, trigger, sent, parts, body, body_bytes_max, event_depth } = called;
        if parts.method != Method::POST {
            return Err(AsyncError::Hook(HookError::Method).into());
        }
        if !trigger.enabled {
            return Err(AsyncError::Hook(HookError::Closed).into());
        }
        let hooks = &self.parts.hooks;
        let hook = Hook::of(&trigger, &hooks.installation).map_err(AsyncError::Hook)?;
        let limit = "setting gateway.async.body_bytes_max";
        let limit = Limit { what: "a request to a trigger", bytes_max: self.config.body_bytes_max, limit };
        let limit = limit.within_route(body_bytes_max);
        let held = self.room.read(body, limit).await?;
        if !hook.has_proof() {
            self.check_open(&access::of(&function, &trigger.qualifier)?, &sent, &parts.method, &held.bytes)?;
        }
        let depth = invoke::chain_depth(sent.headers()).map_err(AsyncError::ChainDepth)?;
        let depth = depth.max(event_depth.map_or(0, invoke::deeper));
        let request = Request { headers: sent.headers(), body: &held.bytes, now_s: now_s() };
        let address = function.record.key.clone();
        let queue = format!("{}.{}.{}", address.namespace, address.name, trigger.qualifier);
        let received = hook.receive(request, &hooks.installation, &trigger, &queue).map_err(AsyncError::Hook)?;
        if let Some(envelope) = hook.envelope(&held.bytes).map_err(AsyncError::Hook)? {
            self.certificates.check(&envelope, hooks).await.map_err(AsyncError::Hook)?;
        }
        match received {
            Received::Events(deliveries) => self.queue_all(id, &function, &trigger, (parts, depth), deliveries).await,
            Received::Confirm(confirmation) => self.confirm(id, &confirmation).await,
            Received::Nothing(why) => Ok(said(id, StatusCode::OK, &json!({"requestIds": [], "reason": why}))),
        }
    }

    /// Refuses a trigger without authentication on a function whose URL requires signatures.
    fn check_open(&self, access: &Access, sent: &SentHead, method: &Method, body: &[u8]) -> Result<(), AsyncError> {
        if !access.signed {
            return Ok(());
        }
        let authorize = self.parts.authorize.as_ref();
        authorize.check_head(sent.headers()).map_err(AsyncError::Unauthorized)?;
        sent.verify(authorize, method, body).map_err(AsyncError::Unauthorized)
    }

    async fn queue_all(
        &self,
        id: &RequestId,
        function: &Arc<CatalogFunction>,
        trigger: &Trigger,
        (parts, depth): (Parts, u32),
        deliveries: Vec<Delivery>,
    ) -> Result<Response<invoke::Body>, RequestError> {
        let call = match ResolvedCall::of_request(function, trigger.qualifier.clone(), id, &parts.headers) {
            Ok(call) => call,
            Err(unresolved) => return Ok(unresolved.into_response(id)),
        };
        let is_event = match call.protocol() {
            Protocol::Event => true,
            Protocol::Http1 => false,
            Protocol::Grpc | Protocol::WebSocket => return Err(AsyncError::Hook(HookError::Protocol).into()),
        };
        let payloads = deliveries.into_iter().map(|delivery| {
            let payload = if is_event {
                event_payload(delivery.event, event_limit(&call))?
            } else {
                web_payload(&parts, &delivery)
            };
            // An object store does not bound chains of a function's objects: beyond the limit they
            // become dead letters, so that the store need not send them again.
            let depth = depth.max(delivery.chain_depth.map_or(0, invoke::deeper));
            Ok(Payload { bytes: payload, dedup_key: delivery.dedup_key, depth })
        });
        let payloads = payloads.collect::<Result<Vec<_>, AsyncError>>()?;
        let bytes = payloads.iter().map(|payload| payload.bytes.len() as u64).sum();
        self.rates.admit(&function.record.key, bytes, Instant::now()).map_err(AsyncError::Rate)?;
        let keys = payloads.iter().filter_map(|of| Some(source_key(trigger, of.dedup_key.clone()?))).collect();
        let counted = self.admit(function, trigger, payloads.len(), keys).await?;
        // Concurrently, so that they share a commit; events that were accepted before a request
        // failed are recognized by their keys when it is sent again.
        let accepting = payloads.into_iter().enumerate().map(|(index, payload)| {
            let request_id = if index == 0 { id.clone() } else { RequestId::random() };
            self.queue_one(function, trigger, request_id, payload)
        });
        let accepted = try_join_all(accepting).await?;
        let new = accepted.iter().filter(|(_, accepted)| accepted.before().is_none()).count();
        self.trigger_rates.give_back(trigger, counted.saturating_sub(new));
        let ids: Vec<&str> = accepted.iter().map(|(id, accepted)| accepted.before().unwrap_or(id).as_str()).collect();
        Ok(said(id, StatusCode::ACCEPTED, &json!({"requestIds": ids})))
    }

    /// Admits events by the rate limit of their trigger, and returns how many it counted. Events
    /// that were accepted before do not count: a repetition is not refused because of other events.
    async fn admit(
        &self,
        function: &CatalogFunction,
        trigger: &Trigger,
        events: usize,
        keys: Vec<SourceKey>,
    ) -> Result<usize, AsyncError> {
        let max = self.parts.hooks.rate_per_minute_max;
        let admit = |events| self.trigger_rates.admit(trigger, max, events, Instant::now()).map_err(AsyncError::Hook);
        let Err(refused) = admit(events) else { return Ok(events) };
        match events - self.parts.events.known(&function.record.id, keys).await? {
            0 => Ok(0),
            new if new < events => admit(new).map(|()| new),
            _ => Err(refused),
        }
    }

    async fn queue_one(
        &self,
        function: &CatalogFunction,
        trigger: &Trigger,
        request_id: RequestId,
        Payload { bytes: payload, dedup_key, depth }: Payload,
    ) -> Result<(RequestId, Accepted), AsyncError> {
        let record = &function.record;
        let address = Address {
            function: record.key.clone(),
            function_id: record.id.clone(),
            qualifier: trigger.qualifier.clone(),
        };
        let event = NewEvent {
            request_id: request_id.clone(),
            address,
            invoke_type: if trigger.kind == kind::COS { InvokeType::Cos } else { InvokeType::Invoke },
            payload,
            retries_max: function.event_invoke.retries_max,
            ttl_s: trigger.options.max_age_s.unwrap_or(function.event_invoke.ttl_s),
            delay_s: 0,
        };
        let key = dedup_key.map(|key| source_key(trigger, key));
        let events = self.parts.events.at_depth(depth);
        let accepted = events.accept_of_trigger(event, &trigger.id, key).await?;
        Ok((request_id, accepted))
    }

    async fn confirm(&self, id: &RequestId, wish: &Confirmation) -> Result<Response<invoke::Body>, RequestError> {
        let hooks = &self.parts.hooks;
        if !may_confirm(&wish.subscribe_url, &hooks.confirm_hosts) {
            tracing::warn!(
                topic = wish.topic,
                url = wish.subscribe_url,
                "a subscription is not confirmed: its host is not in gateway.hook_confirm_hosts"
            );
            return Err(AsyncError::Hook(HookError::ConfirmHost).into());
        }
        hooks.confirm.confirm(wish.subscribe_url.clone()).await.map_err(|why| {
            tracing::warn!(topic = wish.topic, why, "cannot confirm a subscription");
            AsyncError::Hook(HookError::Confirm)
        })?;
        tracing::info!(topic = wish.topic, "confirmed a subscription");
        Ok(said(id, StatusCode::OK, &json!({"requestIds": [], "reason": "the subscription is confirmed"})))
    }
}

/// The key of an event within its trigger.
fn source_key(trigger: &Trigger, key: String) -> SourceKey {
    SourceKey { source: trigger.id.as_str().to_owned().into(), key }
}

/// The payload for an event function.
fn event_payload(payload: Bytes, Limit { what, bytes_max, limit }: Limit) -> Result<Bytes, AsyncError> {
    if payload.len() > bytes_max {
        return Err(AsyncError::TooLarge { what, bytes_max, limit });
    }
    event(payload)
}

/// The request for a web function: its headers are those of the sender for a webhook, and those of
/// the event otherwise, without those meant for the platform.
fn web_payload(parts: &Parts, delivery: &Delivery) -> Bytes {
    let mut headers: HeaderMap = delivery.headers.clone();
    client_headers::sanitize(&mut headers, false);
    client_headers::end_connection(&mut headers);
    for name in [AUTHORIZATION, EXPECT] {
        headers.remove(name);
    }
    if let Some(host) = parts.headers.get(http::header::HOST) {
        headers.insert(http::header::HOST, host.clone());
    }
    WebRequest::of_event(headers, delivery.body.clone()).to_bytes()
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(since).unwrap_or(i64::MAX)
}
