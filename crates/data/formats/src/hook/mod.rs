//! Triggers that are called over HTTP: their descriptions, and from a request to the events in it.
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

/// Why nothing of a request runs that is otherwise right, whatever the kind of its trigger.
const FILTERED: &str = "no event of the request fits the filters of the trigger";

/// What senders must prove.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    secrets: Secrets,
    window_s: u32,
}

/// An event that a request brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// What an event function gets.
    pub event: Bytes,
    /// The headers that describe the body of a web function's request.
    pub headers: HeaderMap,
    /// The body of a web function's request.
    pub body: Bytes,
    /// What is the same in all deliveries of this event, and in no other of the trigger.
    pub dedup_key: Option<String>,
    /// How many events have led to the run that caused it, as far as it says so itself.
    pub chain_depth: Option<u32>,
}

/// What a request brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// Events, at least one.
    Events(Vec<Delivery>),
    /// A wish for confirmation.
    Confirm(Confirmation),
    /// Nothing to run, and why.
    Nothing(&'static str),
}

impl Received {
    fn of(deliveries: Vec<Delivery>) -> Self {
        if deliveries.is_empty() { Self::Nothing(FILTERED) } else { Self::Events(deliveries) }
    }
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Its sender proved nothing.
    #[error(transparent)]
    Unauthorized(#[from] signature::Rejection),
    /// It is no CloudEvent.
    #[error(transparent)]
    CloudEvent(#[from] cloudevents::Invalid),
    /// It is no notification.
    #[error(transparent)]
    Notification(#[from] object::Unreadable),
    /// The pattern of the trigger cannot be compared with it.
    #[error("the body cannot be compared with the pattern of the trigger: {0}")]
    Json(String),
}

impl Rejection {
    /// The status of the answer.
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
    /// As they came.
    pub headers: &'a HeaderMap,
    /// As it came.
    pub body: &'a Bytes,
    /// The time here, in seconds.
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
    /// Takes a request: its bytes are the event.
    ///
    /// # Errors
    /// When its sender proves nothing.
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
    /// Whether senders must prove themselves.
    pub fn has_proof(&self) -> bool {
        self.proof.is_some()
    }

    /// Takes a request with one event or a batch.
    ///
    /// # Errors
    /// When its sender proves nothing, or it is no CloudEvent.
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
            // What a header cannot carry stays out of it; `event` has it all.
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
    /// Takes a notification: each object that the trigger is for is an event.
    ///
    /// # Errors
    /// When its sender proves nothing, or it is no notification.
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

    /// The event of one change; `None` when the trigger is not for it.
    pub fn delivery(&self, change: &object::Change, origin: Origin<'_>) -> Option<Delivery> {
        if change.bucket != self.bucket || !self.filter.matches(change) {
            return None;
        }
        let event = match self.raw {
            true => change.raw_event(),
            false => object::cos_event(change, origin)?,
        };
        // It is JSON of our own, so that a pattern can be compared with it.
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

/// The bucket that a trigger's name means: in the contract the name is the bucket's domain, and the
/// bucket's own name has the account behind it.
pub fn bucket_of(trigger: &str, app_id: &str) -> String {
    let label = trigger.split_once(".cos.").map_or(trigger, |(label, _)| label);
    let bare = label.strip_suffix(app_id).and_then(|label| label.strip_suffix('-'));
    quoted(bare.filter(|bare| !bare.is_empty()).unwrap_or(label))
}

#[cfg(test)]
mod tests;
