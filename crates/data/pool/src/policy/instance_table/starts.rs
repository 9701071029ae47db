//! How many starts the waiting requests need, and the outcome of a start.

use std::time::Duration;

use tokio::time::Instant;

use super::{InstanceTable, Phase, Slot, SlotIndex};
use crate::policy::queue::WaiterId;

/// Whether instances were to be replaced since a start was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    Current,
    /// Restarted since: its instance serves only the request that the start was begun for.
    Outdated,
}

/// Outcome of a finished start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Started {
    /// The slot of the instance.
    pub slot: SlotIndex,
    /// The requests that get its first leases, the one that the start was begun for first.
    pub granted: Vec<WaiterId>,
    /// The version drains and no request needs the instance: end it.
    pub end: bool,
}

impl InstanceTable {
    /// How many more starts the waiters need, beyond those in progress, the leases about to return,
    /// and those that are likely to return before an instance would be ready.
    pub fn starts_wanted(&self, now: Instant) -> u32 {
        if self.phase != Phase::Open {
            return 0;
        }
        let uncovered = (self.queue.len_current() as u64).saturating_sub(self.covered() + self.likely(now));
        u32::try_from(uncovered.div_ceil(u64::from(self.concurrency))).unwrap_or(u32::MAX)
    }

    /// Leases that are likely to return within the time of a start: waiting for one of them is
    /// faster than a start.
    fn likely(&self, now: Instant) -> u64 {
        if self.one_shot {
            return 0;
        }
        let out = self.in_use.saturating_sub(self.returning);
        self.queue.busy_since().map_or(0, |since| self.history.likely(out, now.saturating_duration_since(since)))
    }

    /// How long a request for which no start was begun waits before a start is considered again.
    pub fn patience(&self) -> Duration {
        self.history.patience()
    }

    /// Counts a start and says for which waiter it is begun; `None` when all waiters have one of
    /// their own.
    pub fn begin_start(&mut self) -> Option<WaiterId> {
        let waiter = self.queue.trigger()?;
        self.starts += 1;
        Some(waiter)
    }

    /// Counts a start that no request waits for; requests that wait when it finishes are served by
    /// it.
    pub fn begin_prewarm(&mut self) {
        self.starts += 1;
    }

    /// Counts a failed prewarm start. Waiting requests need a start of their own.
    pub fn prewarm_failed(&mut self, age: Age) {
        self.end_start(age);
    }

    /// Counts a failed forecast start: the forecast begins none until the next request.
    pub fn forecast_failed(&mut self, age: Age) {
        self.end_start(age);
        self.history.forecast.start_failed();
    }

    fn end_start(&mut self, age: Age) {
        match age {
            Age::Current => self.starts -= 1,
            Age::Outdated => self.outdated_starts -= 1,
        }
    }

    /// Marks the starts in progress as outdated. A waiter that one was begun for keeps it, the
    /// others need another.
    pub(super) fn outdate_starts(&mut self) {
        self.outdated_starts += std::mem::take(&mut self.starts);
        self.queue.outdate();
    }

    /// Starts in progress.
    pub fn starts(&self) -> usize {
        (self.starts + self.outdated_starts) as usize
    }

    /// Records that a start begun for `waiter`, if any, has an instance after `took`.
    pub fn started(&mut self, waiter: Option<WaiterId>, age: Age, took: Duration, now: Instant) -> Started {
        self.end_start(age);
        self.history.start_took(took);
        let mut granted: Vec<WaiterId> = waiter.filter(|waiter| self.queue.take(*waiter)).into_iter().collect();
        let current = age == Age::Current;
        while current && !self.one_shot && (granted.len() as u64) < u64::from(self.concurrency) {
            let Some(waiter) = self.queue.pop() else { break };
            granted.push(waiter);
        }
        let active = u32::try_from(granted.len()).expect("at most the concurrency, which is a u32");
        self.in_use += active;
        if active > 0 {
            self.rise(now);
        }
        // An instance whose only request went away serves no other.
        let open = self.phase == Phase::Open && current && (active > 0 || !self.one_shot);
        let slot = Slot { active, returning: 0, idle_since: now, freezing: false, closing: !open, ended: false };
        let index = self.place(slot);
        if open && active < self.concurrency {
            self.free.push(index);
        }
        Started { slot: index, granted, end: !open && active == 0 }
    }

    /// Records that a start failed; returns the waiters that fail with it: the one it was begun
    /// for, and those it would have served. When nothing is left that could serve the others, all
    /// fail. None fails with an outdated start, because a new start has other settings.
    pub fn start_failed(&mut self, waiter: WaiterId, age: Age) -> Vec<WaiterId> {
        self.end_start(age);
        if age == Age::Outdated {
            self.queue.untrigger(waiter);
            return Vec::new();
        }
        let mut failed = Vec::new();
        if self.queue.take(waiter) {
            failed.push(waiter);
        }
        let alone = self.starts == 0 && self.slots.iter().flatten().all(|slot| slot.ended);
        let served = if alone { u64::MAX } else { u64::from(self.concurrency) };
        while (failed.len() as u64) < served && self.queue.len_current() as u64 > self.covered() {
            let Some(waiter) = self.queue.pop_current() else { break };
            failed.push(waiter);
        }
        failed
    }
}
