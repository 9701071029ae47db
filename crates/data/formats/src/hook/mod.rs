//! Triggers that receive HTTP requests: their descriptions, and the events in a request.
//!
//! ```text
//! request ─> signature ─> webhook | CloudEvents | notification ─> filters ─> Delivery
//! ```

mod description;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::object::{self, Confirmation, Notification, Origin};
use crate::pattern::Pattern;
use crate::signature::{self, Secrets};
use crate::{cloudevents, quoted};

pub use description::{CloudEvents, Invalid, Objects, Poll, Webhook, shown, with_secrets_of};

/// Why no event of a valid request runs, for all kinds of triggers.
const FILTERED: &str = "no event of the request fits the filters of the trigger";

/// Authentication required of senders.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    secrets: Secrets,
    window_s: u32,
}

/// An event from a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The payload for an event function.
    pub event: Bytes,
    /// The headers that describe the body of a web function's request.
    pub headers: HeaderMap,
    /// The body of a web function's request.
    pub body: Bytes,
    /// Deduplication key: equal in all deliveries of this event, and unique in the trigger.
    pub dedup_key: Option<String>,
    /// Number of events that led to the run that caused it, as stated in the event.
    pub chain_depth: Option<u32>,
}

/// The contents of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// Events, at least one.
    Events(Vec<Delivery>),
    /// A subscription to be confirmed.
    Confirm(Confirmation),
    /// Nothing to run, with the reason.
    Nothing(&'static str),
}

impl Received {
    fn of(deliveries: Vec<Delivery>) -> Self {
        if deliveries.is_empty() { Self::Nothing(FILTERED) } else { Self::Events(deliveries) }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Its sender is not authenticated.
    #[error(transparent)]
    Unauthorized(#[from] signature::Rejection),
    /// It is not a CloudEvent.
    #[error(transparent)]
    CloudEvent(#[from] cloudevents::Invalid),
    /// It is not a notification.
    #[error(transparent)]
    Notification(#[from] object::Unreadable),
    /// It cannot be compared with the trigger's pattern.
    #[error("the body cannot be compared with the pattern of the trigger: {0}")]
    Json(String),
}

impl Rejection {
    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::CloudEvent(cloudevents::Invalid::Format(_)) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::CloudEvent(_) | Self::Notification(_) | Self::Json(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// A request to a trigger: its headers, its bytes, and Unix time.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its headers, unchanged.
    pub headers: &'a HeaderMap,
    /// Its body, unchanged.
    pub body: &'a Bytes,
    /// The current time, in seconds.
    pub now_s: i64,
}

impl Proof {
    fn check(&self, request: Request<'_>) -> Result<Option<String>, signature::Rejection> {
        let Request { headers, body, now_s } = request;
        signature::verify(&self.secrets, headers, body, now_s, self.window_s).map(|verified| verified.id)
    }
}

fn chosen(pattern: Option<&Pattern>, event: &[u8]) -> Result<bool, Rejection> {
    pattern.map_or(Ok(true), |pattern| pattern.matches_bytes(event)).map_err(|why| Rejection::Json(why.to_string()))
}

impl Webhook {
    /// Accepts a request: its bytes are the event.
    ///
    /// # Errors
    /// When its sender is not authenticated.
    pub fn receive(&self, request: Request<'_>) -> Result<Received, Rejection> {
        let id = self.proof.check(request)?;
        if !chosen(self.pattern.as_ref(), request.body)? {
            return Ok(Received::Nothing(FILTERED));
        }
        let (event, body) = (request.body.clone(), request.body.clone());
        let headers = request.headers.clone();
        Ok(Received::Events(vec![Delivery { event, headers, body, dedup_key: id, chain_depth: None }]))
    }
}

impl CloudEvents {
    /// Whether senders are authenticated.
    pub fn has_proof(&self) -> bool {
        self.proof.is_some()
    }

    /// Accepts a request with one event or a batch.
    ///
    /// # Errors
    /// When its sender is not authenticated, or it is not a CloudEvent.
    pub fn receive(&self, request: Request<'_>) -> Result<Received, Rejection> {
        if let Some(proof) = &self.proof {
            proof.check(request)?;
        }
        let events = cloudevents::parse(request.headers, request.body)?;
        let mut taken = Vec::with_capacity(events.len());
        for event in &events {
            if chosen(self.pattern.as_ref(), &event.json())? {
                taken.push(event);
            }
        }
        let deliveries = taken.into_iter().map(|event| {
            let (headers, body) = event.binary();
            // Values that a header cannot carry are omitted; `event` has all of them.
            let headers = headers.iter().filter_map(|(name, value)| {
                let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
                Some((name, HeaderValue::from_str(value).ok()?))
            });
            // With the length of the first, so that no other pair has the same text.
            let (source, id) = (event.source(), event.id());
            let dedup_key = Some(format!("{}:{source}\n{id}", source.len()));
            Delivery { event: event.json(), headers: headers.collect(), body, dedup_key, chain_depth: None }
        });
        Ok(Received::of(deliveries.collect()))
    }
}

impl Objects {
    /// Accepts a notification: each object that matches the trigger is an event.
    ///
    /// # Errors
    /// When its sender is not authenticated, or it is not a notification.
    pub fn receive(&self, request: Request<'_>, origin: Origin<'_>) -> Result<Received, Rejection> {
        if let Some(proof) = &self.proof {
            proof.check(request)?;
        }
        match Notification::parse(request.body)? {
            Notification::Changes(changes) => {
                let deliveries = changes.iter().filter_map(|change| self.delivery(change, origin));
                Ok(Received::of(deliveries.collect()))
            }
            Notification::Confirm(confirmation) => Ok(Received::Confirm(confirmation)),
            Notification::Nothing(why) => Ok(Received::Nothing(why)),
        }
    }

    /// The event of one change; `None` when it does not match the trigger.
    pub fn delivery(&self, change: &object::Change, origin: Origin<'_>) -> Option<Delivery> {
        if change.bucket != self.bucket || !self.filter.matches(change) {
            return None;
        }
        let event = match self.raw {
            true => change.raw_event(),
            false => object::cos_event(change, origin)?,
        };
        // It is JSON made here, so a pattern can be compared with it.
        if !chosen(self.pattern.as_ref(), &event).unwrap_or(false) {
            return None;
        }
        let event = Bytes::from(event);
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Some(Delivery {
            event: event.clone(),
            headers,
            body: event,
            dedup_key: Some(change.dedup_key()),
            chain_depth: change.chain_depth,
        })
    }
}

/// The bucket in a trigger's name: in the contract the name is the bucket's domain, and the
/// bucket's own name ends with the account.
pub fn bucket_of(trigger: &str, app_id: &str) -> String {
    let label = trigger.split_once(".cos.").map_or(trigger, |(label, _)| label);
    let bare = label.strip_suffix(app_id).and_then(|label| label.strip_suffix('-'));
    quoted(bare.filter(|bare| !bare.is_empty()).unwrap_or(label))
}

#[cfg(test)]
mod tests;
