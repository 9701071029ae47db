//! Has ticks committed: each once, under the key of its trigger and time.

use std::time::Duration;

use events::{Accepted, Address, Error, Events, NewEvent, SourceKey};
use futures_util::StreamExt;
use futures_util::stream::poll_fn;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::RequestId;

use super::agenda::Tick;
use super::clock::Clock;
use crate::kinds::Sources;
use crate::source::{Occurrence, Source};
use crate::timer::Timer;

/// Whose keys they are.
pub(super) const KEYS: &str = "timer";
/// Pause between tries while the queue has no room.
const PAUSE: Duration = Duration::from_secs(1);

/// What ticks are committed with.
pub(super) struct Delivery {
    pub(super) sources: Sources,
    pub(super) events: Events,
    pub(super) clock: Clock,
    /// How long after its time a tick is still committed.
    pub(super) deadline_ms: i64,
    pub(super) stop: CancellationToken,
}

/// Commits ticks until their sender is gone, many at a time, so that they share commits.
pub(super) async fn run(delivery: Delivery, mut ticks: mpsc::Receiver<Tick>, commits_max: usize) {
    let delivery = &delivery;
    poll_fn(|cx| ticks.poll_recv(cx)).for_each_concurrent(commits_max, |tick| deliver(delivery, tick)).await;
}

async fn deliver(delivery: &Delivery, tick: Tick) {
    let outcome = match event(delivery.sources.timer(), &tick) {
        Some(_) if !delivery.sources.admit(&tick.trigger, delivery.clock.now_ms()) => "limited",
        Some(event) => commit(delivery, &tick, event).await,
        None => "failed",
    };
    metrics::counter!("sampan_timer_ticks_total", "outcome" => outcome).increment(1);
}

/// What became of it, as the metric says it.
async fn commit(delivery: &Delivery, tick: &Tick, event: NewEvent) -> &'static str {
    let (function, trigger) = (&tick.function.key, tick.trigger.name.as_str());
    let key = SourceKey { source: KEYS.into(), key: key(tick) };
    loop {
        let error = match delivery.events.accept_once(event.clone(), key.clone()).await {
            Ok(Accepted::New) => {
                let late_ms = delivery.clock.now_ms().saturating_sub(tick.at_ms).max(0);
                metrics::histogram!("sampan_timer_commit_delay_seconds").record(late_ms as f64 / 1000.0);
                return "accepted";
            }
            // Another scheduler was faster, or this time came before the clock was set or a restart.
            Ok(Accepted::Before(_)) => return "duplicate",
            Err(error) => error,
        };
        let late = delivery.clock.now_ms().saturating_sub(tick.at_ms) > delivery.deadline_ms;
        if !matches!(error, Error::Full { .. } | Error::DiskNearlyFull { .. }) || late {
            tracing::warn!(%function, trigger, at_ms = tick.at_ms, %error, "an event of a timer is not made");
            return "failed";
        }
        tokio::select! {
            () = delivery.stop.cancelled() => return "failed",
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// The key of a tick: one event for each.
fn key(tick: &Tick) -> String {
    format!("{}/{}", tick.trigger.id, tick.at_ms)
}

/// The time of a tick by its key, Unix milliseconds.
pub(super) fn time_of_key(key: &str) -> Option<i64> {
    key.split_once('/')?.1.parse().ok()
}

fn event(timer: &Timer, tick: &Tick) -> Option<NewEvent> {
    let payload = timer.event(&tick.trigger, &Occurrence::Tick { at_ms: tick.at_ms }).ok()?;
    Some(NewEvent {
        request_id: RequestId::random(),
        address: Address {
            function: tick.function.key.clone(),
            function_id: tick.function.id.clone(),
            qualifier: tick.trigger.qualifier.clone(),
        },
        invoke_type: timer.invoke_type(),
        payload,
        retries_max: tick.event_invoke.retries_max,
        ttl_s: tick.trigger.options.max_age_s.unwrap_or(tick.event_invoke.ttl_s),
        delay_s: 0,
    })
}
