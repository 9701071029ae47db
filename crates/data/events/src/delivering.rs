//! Sends the deliveries of ended events, with back-off, a limit for each host, and dead letters for
//! undeliverable ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use invoke::CHAIN_DEPTH;
use tokio::task::JoinSet;
use types::{FunctionKey, Qualifier};

use crate::delivery::{Delivery, Destination};
use crate::dispatcher::{Queue, now_ms};
use crate::error::Error;
use crate::event::{Address, InvokeType, NewEvent};
use crate::policy::retry::{self, Class, History, Next};
use crate::room::Room;
use crate::sqlite::deliveries::{self, Claimed};
use crate::sqlite::insert;
use crate::web_request::WebRequest;

/// Longest sleep: the clock may be set meanwhile.
const SLEEP_MS_MAX: i64 = 10_000;
/// Pause between write attempts.
const WRITE_PAUSE: Duration = Duration::from_secs(1);
/// The id of a delivery, the same in each attempt.
const X_DELIVERY_ID: HeaderName = HeaderName::from_static("x-delivery-id");

/// Outcome of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Attempted {
    Done,
    /// Another attempt may succeed.
    Failed(String, Option<Duration>),
    /// No attempt can succeed.
    Refused(String),
}

/// Runs until the queue stops; deliveries in flight then are sent again after the next start.
pub(crate) async fn run(queue: Arc<Queue>) {
    let (mut sending, mut hosts) = (JoinSet::new(), HashMap::<String, usize>::new());
    let mut next_due_ms = Some(0);
    loop {
        let changed = queue.deliveries.changed.notified();
        let room = queue.config.deliveries_max.saturating_sub(sending.len());
        if room > 0 && next_due_ms.is_some_and(|due| due <= now_ms()) {
            next_due_ms = claim(&queue, &mut sending, &mut hosts, room).await;
        }
        let pause = next_due_ms.map_or(SLEEP_MS_MAX, |due| (due - now_ms()).clamp(0, SLEEP_MS_MAX));
        // Without room for due deliveries, only the end of one makes room.
        let pause = if room > 0 { pause } else { SLEEP_MS_MAX };
        tokio::select! {
            biased;
            () = queue.stop.cancelled() => return,
            Some(ended) = sending.join_next() => {
                let Ok(host) = ended else { continue };
                if let Some(count) = hosts.get_mut(&host) {
                    *count -= 1;
                }
                hosts.retain(|_, count| *count > 0);
                next_due_ms = Some(0);
            }
            () = changed => next_due_ms = Some(0),
            () = tokio::time::sleep(Duration::from_millis(pause as u64)) => {}
        }
    }
}

async fn claim(
    queue: &Arc<Queue>,
    sending: &mut JoinSet<String>,
    hosts: &mut HashMap<String, usize>,
    room: usize,
) -> Option<i64> {
    let host_max = queue.config.host_deliveries_max;
    // A host with deliveries in flight gets more when they have ended: never more than its limit.
    let busy: Vec<String> = hosts.keys().cloned().collect();
    let now = now_ms();
    let claimed =
        queue.writer.write(0, move |connection| deliveries::claim(connection, now, room, host_max, &busy)).await;
    match claimed {
        Ok((claimed, next_due_ms)) => {
            for of in claimed {
                let host = of.delivery.destination.host();
                *hosts.entry(host.clone()).or_default() += 1;
                let queue = Arc::clone(queue);
                sending.spawn(async move {
                    deliver(&queue, of).await;
                    host
                });
            }
            next_due_ms
        }
        Err(error) => {
            tracing::warn!(%error, "cannot claim deliveries of events");
            tokio::time::sleep(WRITE_PAUSE).await;
            Some(0)
        }
    }
}

async fn deliver(queue: &Arc<Queue>, of: Claimed) {
    let attempted = attempt(queue, &of.delivery).await;
    let now = now_ms();
    let (next, why) = match attempted {
        Attempted::Done => (None, String::new()),
        Attempted::Refused(why) => (Some(Err("destination_refused")), why),
        Attempted::Failed(why, retry_after) => {
            let history = History {
                function_failures: 0,
                system_failures: of.attempt.saturating_sub(1),
                retries_max: 0,
                expires_ms: of.expires_ms,
            };
            // A delay beyond the remaining time would otherwise end all attempts at once.
            let retry_after = retry_after.map(|wish| wish.min(queue.config.retry_after_max()));
            match retry::next(Class::System, history, retry_after, now, rand::random()) {
                Next::Again { due_ms, .. } => (Some(Ok(due_ms)), why),
                _ => (Some(Err("destination_failed")), why),
            }
        }
    };
    if let Some(Err(reason)) = next {
        let (request, destination) = (&of.delivery.request_id, of.delivery.destination.host());
        metrics::counter!("sampan_events_dead_total", "reason" => reason).increment(1);
        tracing::warn!(%request, %destination, reason, %why, attempts = of.attempt, "a delivery became a dead letter");
    }
    let of = Arc::new(of);
    let letters_max = queue.config.dead_letters_max;
    loop {
        let (of, why) = (Arc::clone(&of), why.clone());
        let stored = queue.writer.write(0, move |connection| match next {
            Some(Ok(due_ms)) => deliveries::again(connection, of.id, due_ms),
            Some(Err(reason)) => {
                deliveries::remove(connection, of.id)?;
                deliveries::bury(connection, &of.delivery, reason, of.attempt, &why, now, letters_max)
            }
            None => deliveries::remove(connection, of.id),
        });
        match stored.await {
            Ok(()) => break,
            Err(Error::Stopping | Error::Halted(_)) => return,
            Err(error) => {
                tracing::warn!(%error, "cannot store the end of a delivery yet");
                tokio::time::sleep(WRITE_PAUSE).await;
            }
        }
    }
    if !matches!(next, Some(Ok(_))) {
        queue.deliveries.removed();
    }
}

async fn attempt(queue: &Arc<Queue>, of: &Delivery) -> Attempted {
    let response = match &of.destination {
        Destination::Function(name) => {
            let key = FunctionKey { namespace: of.address.function.namespace.clone(), name: name.clone() };
            return accept(queue, of, key).await;
        }
        Destination::Connection(name) => queue.outbound.post_to(name, headers(of), of.body.clone()).await,
        Destination::Url(url) => queue.outbound.post(url, headers(of), of.body.clone()).await,
    };
    match response {
        Err(outbound::Error::Refused(refused)) => Attempted::Refused(refused.to_string()),
        Err(error) => Attempted::Failed(error.to_string(), None),
        Ok(response) => answered(response.status, response.retry_after),
    }
}

/// The meaning of a response: only a permanent client error ends the attempts.
fn answered(status: StatusCode, retry_after: Option<Duration>) -> Attempted {
    let why = format!("it answered {status}");
    let passes = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    match status.as_u16() {
        200..=299 => Attempted::Done,
        300..=399 => Attempted::Refused(format!("{why}; redirects are not followed")),
        400..=499 if !passes => Attempted::Refused(why),
        _ => Attempted::Failed(why, retry_after),
    }
}

fn headers(of: &Delivery) -> HeaderMap {
    let pairs = of.headers.iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(name.as_str()).ok()?, HeaderValue::try_from(value.as_str()).ok()?))
    });
    let mut headers: HeaderMap = pairs.collect();
    if let Ok(id) = HeaderValue::from_str(of.request_id.as_str()) {
        headers.insert(X_DELIVERY_ID, id);
    }
    headers.entry(http::header::CONTENT_TYPE).or_insert(HeaderValue::from_static(kind(&of.body)));
    headers
}

/// The content type of a body without one.
fn kind(body: &[u8]) -> &'static str {
    match std::str::from_utf8(body) {
        Ok(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => "application/json",
        Ok(_) => "text/plain; charset=utf-8",
        Err(_) => "application/octet-stream",
    }
}

/// Accepts the delivery as an event of its function; an existing one was accepted before.
async fn accept(queue: &Arc<Queue>, of: &Delivery, function: FunctionKey) -> Attempted {
    let Some((function_id, config)) = queue.run.function(&function) else {
        return Attempted::Refused(format!("there is no function {function}"));
    };
    let payload = payload(of, queue.run.takes_requests(&function));
    let bytes = payload.len();
    let room = match Room::take(queue, function.clone(), None, bytes) {
        Ok(room) => room,
        Err(full) => return Attempted::Failed(full.to_string(), None),
    };
    let event = NewEvent {
        request_id: of.request_id.clone(),
        address: Address { function, function_id, qualifier: Qualifier::LATEST },
        invoke_type: InvokeType::Invoke,
        payload,
        retries_max: config.retries_max,
        ttl_s: config.ttl_s,
        delay_s: 0,
    };
    let (now, depth, mut room) = (now_ms(), of.depth, room);
    let origin = insert::Origin { depth, ..insert::Origin::default() };
    let insert = move |connection: &rusqlite::Connection| insert::insert(connection, &event, &origin, now);
    let settled = move |done: &Result<(), Error>| {
        if done.is_ok() {
            room.keep(now);
        }
    };
    match queue.writer.write_then(bytes, insert, settled).await {
        Ok(()) | Err(Error::Duplicate(_)) => Attempted::Done,
        Err(error) => Attempted::Failed(error.to_string(), None),
    }
}

/// The payload for a function: a web function gets a request to `/`, unless the dead letter of
/// another one is a request already.
fn payload(of: &Delivery, takes_requests: bool) -> Bytes {
    if !takes_requests || WebRequest::from_bytes(&of.body).is_ok() {
        return of.body.clone();
    }
    let mut headers = headers(of);
    // The run gets the depth of its own event.
    headers.remove(CHAIN_DEPTH);
    WebRequest::of_event(headers, of.body.clone()).to_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let kind = |status: u16| match answered(StatusCode::from_u16(status).unwrap(), None) {
            Attempted::Done => "done",
            Attempted::Failed(..) => "again",
            Attempted::Refused(_) => "never",
        };
        for (expected, statuses) in [
            ("done", &[200, 202, 204][..]),
            ("never", &[301, 302, 307, 400, 401, 404, 410]),
            ("again", &[408, 425, 429, 500, 502, 503, 504]),
        ] {
            for status in statuses {
                assert_eq!(kind(*status), expected, "{status}");
            }
        }
    }
}
