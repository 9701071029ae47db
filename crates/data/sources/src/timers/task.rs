//! The task that owns the agenda: follows the catalog, sleeps until a timer is due, passes ticks
//! on.

use std::time::{Duration, Instant};

use store::Store;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use types::{Catalog, FunctionKey};

use super::agenda::{Agenda, Tick};
use super::clock::Clock;
use super::{deadline_ms, delivery};
use crate::kinds::Sources;

/// A difference between the clocks above which the wall clock counts as set.
const SET_MS_MIN: i64 = 1_000;
/// From here on setting the clock back is a correction: events created by the wrong time may repeat
/// (cron(8) of Vixie).
const CORRECTION_MS_MIN: i64 = 3 * 3600 * 1000;

/// The task's dependencies.
pub(super) struct Owner {
    pub(super) sources: Sources,
    pub(super) store: Store,
    pub(super) events: events::Events,
    pub(super) clock: Clock,
    pub(super) ticks: mpsc::Sender<Tick>,
}

pub(super) async fn run(owner: Owner, stop: CancellationToken) {
    let mut changes = owner.store.changes();
    let mut agenda = Agenda::new(owner.sources.timer().clone(), deadline_ms(&owner.sources));
    let mut seen = None;
    let mut watch = ClockWatch::new(&owner.clock);
    let sleep_ms_max = owner.sources.config().timer_sleep_ms_max as i64;
    loop {
        let now_ms = owner.clock.now_ms();
        if let Some(back_ms) = watch.set_back_ms(now_ms) {
            set_back(&owner, &mut agenda, now_ms, back_ms).await;
        }
        changes.mark_unchanged();
        let catalog = owner.store.catalog().load_full();
        follow(&mut agenda, &catalog, seen, now_ms);
        seen = Some(catalog.revision);
        for tick in agenda.take_due(now_ms) {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                sent = owner.ticks.send(tick) => if sent.is_err() { return },
            }
        }
        let pause_ms = agenda
            .next_due_ms()
            .map_or(sleep_ms_max, |due_ms| due_ms.saturating_sub(owner.clock.now_ms()).clamp(0, sleep_ms_max));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(Duration::from_millis(pause_ms as u64)) => {}
        }
    }
}

/// Processes the functions that changed after the revision `seen`, or all of them.
fn follow(agenda: &mut Agenda, catalog: &Catalog, seen: Option<u64>, now_ms: i64) {
    if seen == Some(catalog.revision) {
        return;
    }
    if let Some(sets) = seen.and_then(|seen| catalog.changes_since(seen)) {
        for change in sets.flat_map(|set| &set.functions) {
            agenda.set_function(&change.key, catalog.functions.get(&change.key).map(AsRef::as_ref), now_ms);
        }
        return;
    }
    let known: Vec<FunctionKey> = agenda.functions().cloned().collect();
    for key in known.iter().filter(|key| !catalog.functions.contains_key(key)) {
        agenda.set_function(key, None, now_ms);
    }
    for (key, function) in catalog.functions.iter() {
        agenda.set_function(key, Some(function), now_ms);
    }
}

async fn set_back(owner: &Owner, agenda: &mut Agenda, now_ms: i64, back_ms: i64) {
    tracing::warn!(back_s = back_ms / 1000, "the clock was set back; timers follow it");
    agenda.restart_from(now_ms);
    let ahead = move |key: &str| delivery::time_of_key(key).is_some_and(|at_ms| at_ms > now_ms);
    if back_ms >= CORRECTION_MS_MIN
        && let Err(error) = owner.events.forget_keys(delivery::KEYS, ahead).await
    {
        tracing::warn!(%error, "cannot delete dedup keys of times ahead of the clock; these times do not run again");
    }
}

/// Detects that the wall clock was set back, by comparison with the monotonic clock.
struct ClockWatch {
    wall_ms: i64,
    at: Instant,
}

impl ClockWatch {
    fn new(clock: &Clock) -> Self {
        Self { wall_ms: clock.now_ms(), at: Instant::now() }
    }

    /// By how much it was set back since the last check. A clock that was set forward needs no
    /// handling: due timers are found as usual.
    fn set_back_ms(&mut self, now_ms: i64) -> Option<i64> {
        let at = Instant::now();
        let expected_ms = self.wall_ms.saturating_add(at.duration_since(self.at).as_millis() as i64);
        (self.wall_ms, self.at) = (now_ms, at);
        let back_ms = expected_ms.saturating_sub(now_ms);
        (back_ms > SET_MS_MIN).then_some(back_ms)
    }
}
