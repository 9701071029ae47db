//! One pass over a bucket: all pages, an event for each new object, and then the mark.

use std::sync::Arc;
use std::time::Duration;

use events::{Accepted, Address, Events, InvokeType, NewEvent, SourceKey, WebRequest};
use formats::hook::Delivery;
use formats::object::Origin;
use formats::object::listing::{Pass, Seen};
use jiff::Timestamp;
use object_store::Store;
use types::limits::ASYNC_EVENT_BYTES_MAX;
use types::{FunctionKind, RequestId};

use super::PollingParts;
use super::agenda::Polled;

/// Pause between checks whether the trigger's rate allows another event.
const RATE_PAUSE: Duration = Duration::from_secs(1);

/// Why a pass was aborted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The settings no longer have the store.
    #[error("connection {0:?} is none of [connections] in the settings")]
    NoConnection(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// The queue failed.
    #[error("cannot accept an event: {0}")]
    Events(#[from] events::Error),
    /// The list is too long.
    #[error("the list has more than {0} pages (setting triggers.poll_pages_max)")]
    TooLong(usize),
}

/// Runs one pass; returns the number of created events.
pub(super) async fn run(
    parts: &PollingParts,
    pages_max: usize,
    polled: &Polled,
    seen: &mut Seen,
) -> Result<usize, Error> {
    let Polled { trigger, objects, .. } = polled;
    let Some(poll) = &objects.poll else { return Ok(0) };
    let connection =
        parts.connections.get(&poll.connection).ok_or_else(|| Error::NoConnection(poll.connection.clone()))?;
    let store = Store::new(connection, &objects.bucket)?;
    let mut pass = Pass::begin(parts.events.mark(trigger.id.as_str()).await?, trigger.added_ms, poll.overlap_s);
    let queue = format!("{}.{}.{}", polled.function.key.namespace, polled.function.key.name, trigger.qualifier);
    let origin = Origin {
        app_id: &parts.installation.app_id,
        region: &parts.installation.region,
        notification_id: &trigger.name,
        queue: &queue,
        endpoint: &connection.endpoint,
    };
    let (mut after, mut made) = (None, 0);
    for _ in 0..pages_max {
        if !is_current(parts, polled) {
            return Ok(made);
        }
        let page = store.page(objects.filter.prefix(), after.as_deref()).await?;
        for object in &page.objects {
            let Some(change) = pass.change(&objects.bucket, object, seen) else { continue };
            if let Some(delivery) = objects.delivery(&change, origin) {
                // The rate limit stops a function that triggers itself. The next pass continues,
                // since it has what this one has seen; meanwhile others can run.
                while !parts.sources.admit(trigger, Timestamp::now().as_millisecond()) {
                    if !seen.is_full() {
                        return Ok(made);
                    }
                    tokio::time::sleep(RATE_PAUSE).await;
                }
                match accept(&parts.events, polled, delivery).await? {
                    Accepted::New => made += 1,
                    Accepted::Before(_) => parts.sources.give_back(trigger),
                }
            }
            seen.remember(&change);
        }
        let Some(next) = page.next else {
            let mark_ms = pass.end(Timestamp::now().as_millisecond());
            parts.events.set_mark(trigger.id.as_str(), mark_ms).await?;
            seen.forget_before(mark_ms, poll.overlap_s);
            return Ok(made);
        };
        after = Some(next);
    }
    Err(Error::TooLong(pages_max))
}

/// Whether the trigger is unchanged since the pass began.
fn is_current(parts: &PollingParts, polled: &Polled) -> bool {
    let catalog = parts.catalog.load();
    let function = catalog.functions.get(&polled.function.key);
    function.is_some_and(|function| function.triggers.iter().any(|trigger| Arc::ptr_eq(trigger, &polled.trigger)))
}

async fn accept(events: &Events, polled: &Polled, delivery: Delivery) -> Result<Accepted, Error> {
    let Polled { function, event_invoke, trigger, .. } = polled;
    let key = delivery.dedup_key.clone().unwrap_or_default();
    let payload = match function.kind {
        FunctionKind::Event if delivery.event.len() > ASYNC_EVENT_BYTES_MAX => {
            tracing::warn!(trigger = trigger.id.as_str(), "skipped an object: its event is too long");
            return Ok(Accepted::New);
        }
        FunctionKind::Event => delivery.event,
        FunctionKind::Http => WebRequest::of_event(delivery.headers, delivery.body).to_bytes(),
    };
    let event = NewEvent {
        request_id: RequestId::random(),
        address: Address {
            function: function.key.clone(),
            function_id: function.id.clone(),
            qualifier: trigger.qualifier.clone(),
        },
        invoke_type: InvokeType::Cos,
        payload,
        retries_max: event_invoke.retries_max,
        ttl_s: trigger.options.max_age_s.unwrap_or(event_invoke.ttl_s),
        delay_s: 0,
    };
    let key = SourceKey { source: trigger.id.as_str().to_owned().into(), key };
    Ok(events.accept_of_trigger(event, &trigger.id, Some(key)).await?)
}
