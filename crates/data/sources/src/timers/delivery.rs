//! Commits ticks: each once, under the key of its trigger and time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::{Accepted, Address, Error, Events, NewEvent, SourceKey};
use supervisor::essential;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::RequestId;

use super::agenda::Tick;
use super::clock::Clock;
use super::waiting::Waiting;
use crate::kinds::Sources;
use crate::source::{Occurrence, Source};
use crate::timer::Timer;

/// The source of the keys.
pub(super) const KEYS: &str = "timer";
/// Pause between attempts while the queue has no room.
const PAUSE: Duration = Duration::from_secs(1);

/// Dependencies of commits.
pub(super) struct Delivery {
    pub(super) sources: Sources,
    pub(super) events: Events,
    pub(super) clock: Clock,
    /// How long after its time a tick is still committed.
    pub(super) deadline_ms: i64,
    pub(super) stop: CancellationToken,
    pub(super) waiting: Mutex<Waiting>,
    /// Permits of concurrent commits. Ticks that wait for room in the queue hold none, so that a
    /// full function delays no other.
    pub(super) commits: Semaphore,
}

/// Commits ticks until their sender is dropped, many concurrently, so that they share commits.
pub(super) async fn run(delivery: Delivery, mut ticks: mpsc::Receiver<Tick>) {
    let (delivery, tasks) = (Arc::new(delivery), TaskTracker::new());
    while let Some(tick) = ticks.recv().await {
        // Acquired here, so that ticks are received no faster than they are committed.
        let Ok(place) = delivery.commits.acquire().await else { break };
        place.forget();
        delivery.waiting().arrive(&tick.trigger.id, tick.at_ms);
        tasks.spawn(essential("timers delivery", deliver(Arc::clone(&delivery), tick)));
    }
    tasks.close();
    tasks.wait().await;
}

/// Commits a tick that holds a permit.
async fn deliver(delivery: Arc<Delivery>, tick: Tick) {
    let outcome = match event(delivery.sources.timer(), &tick) {
        Some(_) if !delivery.sources.admit(&tick.trigger, delivery.clock.now_ms()) => "limited",
        Some(event) => commit(&delivery, &tick, event).await,
        None => "failed",
    };
    delivery.commits.add_permits(1);
    delivery.waiting().end(&tick.trigger.id, tick.at_ms);
    metrics::counter!("sampan_timer_ticks_total", "outcome" => outcome).increment(1);
}

/// Commits a tick; returns the outcome for the metric. It holds a permit before and after.
async fn commit(delivery: &Delivery, tick: &Tick, event: NewEvent) -> &'static str {
    let (function, trigger) = (&tick.function.key, tick.trigger.name.as_str());
    let key = SourceKey { source: KEYS.into(), key: key(tick) };
    loop {
        let error = match delivery.events.accept_of_trigger(event.clone(), &tick.trigger.id, Some(key.clone())).await {
            Ok(Accepted::New) => {
                let late_ms = delivery.clock.now_ms().saturating_sub(tick.at_ms).max(0);
                metrics::histogram!("sampan_timer_commit_delay_seconds").record(late_ms as f64 / 1000.0);
                return "accepted";
            }
            // Another scheduler was faster, or this time passed before a restart or before the
            // clock was set.
            Ok(Accepted::Before(_)) => {
                delivery.sources.give_back(&tick.trigger);
                return "duplicate";
            }
            Err(error) => error,
        };
        let late = delivery.clock.now_ms().saturating_sub(tick.at_ms) > delivery.deadline_ms;
        let is_room = matches!(error, Error::Full { .. } | Error::DiskNearlyFull { .. } | Error::DiskFull);
        if !is_room || late {
            tracing::warn!(%function, trigger, at_ms = tick.at_ms, %error, "cannot create an event of a timer");
            return "failed";
        }
        if !delivery.waiting().wait(&tick.trigger.id, tick.at_ms) {
            return "superseded";
        }
        delivery.commits.add_permits(1);
        let stopped = tokio::time::timeout(PAUSE, delivery.stop.cancelled()).await.is_ok();
        if let Ok(place) = delivery.commits.acquire().await {
            place.forget();
        }
        if stopped {
            return "failed";
        }
        // A newer one may have arrived meanwhile.
        if !delivery.waiting().wait(&tick.trigger.id, tick.at_ms) {
            return "superseded";
        }
    }
}

impl Delivery {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The deduplication key of a tick: one event for each.
fn key(tick: &Tick) -> String {
    format!("{}/{}", tick.trigger.id, tick.at_ms)
}

/// The time of a tick from its key, Unix milliseconds.
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
