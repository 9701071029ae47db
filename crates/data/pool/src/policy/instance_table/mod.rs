//! The instance table of one version: which instance serves which request, which requests wait, and
//! how many starts they need.
//!
//! Invariants (property tests below): an instance never has more leases than the version's
//! concurrency; no request waits while an instance has a free slot; every waiter leaves exactly
//! once; an instance with leases is never marked for freezing.

mod idle;
mod starts;

use std::time::Duration;

use tokio::time::Instant;

use crate::policy::history::History;
use crate::policy::keep_alive::KeepAlivePolicy;
use crate::policy::queue::{Queue, WaiterId};

pub(crate) use self::starts::Age;

/// Index of an instance in the table; valid while it has leases or has not ended.
pub(crate) type SlotIndex = usize;

/// Whether the version takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The version takes requests.
    Open,
    /// It was replaced or removed: instances end when their leases return.
    Draining,
    /// It has no instances, starts or waiters and was taken out of the pool.
    Closed,
}

struct Slot {
    active: u32,
    /// Leases about to return, whose slots count as coming free.
    returning: u32,
    idle_since: Instant,
    /// Idle for long enough that it is frozen, or about to be.
    freezing: bool,
    /// Takes no new leases; to be ended when the last one returns.
    closing: bool,
    ended: bool,
}

/// Consequence of the return of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Released {
    /// The instance stays, with or without other requests.
    Kept,
    /// The slot goes to this waiter.
    Serve(WaiterId),
    /// The instance is to be ended.
    Stop,
    /// The instance had ended already and its slot is vacant.
    Gone,
}

/// Outcome of a request whose wait timed out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// A start or a returning lease is on its way for it.
    Covered,
    /// The request was taken off the queue.
    Removed,
    /// Its answer is already on its way.
    Answered,
}

/// The instance table; see the module.
pub(crate) struct InstanceTable {
    concurrency: u32,
    /// Each instance serves only the request that it was started for.
    one_shot: bool,
    policy: KeepAlivePolicy,
    phase: Phase,
    slots: Vec<Option<Slot>>,
    vacant: Vec<SlotIndex>,
    /// Open instances with a free slot; the one used last is on top, so that the others can become
    /// idle.
    free: Vec<SlotIndex>,
    queue: Queue,
    starts: u32,
    /// Starts that were begun before [`InstanceTable::restart`], not counted in `starts`.
    outdated_starts: u32,
    returning: u32,
    history: History,
    /// Leases that are out.
    in_use: u32,
    /// The maximum that was out or queued at once since the peak was taken.
    in_use_peak: u32,
}

impl InstanceTable {
    pub fn new(concurrency: u32, policy: KeepAlivePolicy) -> Self {
        Self {
            concurrency: concurrency.max(1),
            one_shot: false,
            policy,
            phase: Phase::Open,
            slots: Vec::new(),
            vacant: Vec::new(),
            free: Vec::new(),
            queue: Queue::new(),
            starts: 0,
            outdated_starts: 0,
            returning: 0,
            history: History::default(),
            in_use: 0,
            in_use_peak: 0,
        }
    }

    /// Sets whether each instance is for one request: none is started before a request waits for
    /// it, goes to another, or serves a second one.
    pub fn one_shot(self, one_shot: bool) -> Self {
        Self { one_shot, ..self }
    }

    /// The maximum number of concurrent requests since the last call, queued ones included.
    pub fn take_in_use_peak(&mut self) -> u32 {
        let peak = self.in_use_peak;
        self.in_use_peak = 0;
        self.note_in_use();
        self.in_use_peak.max(peak)
    }

    fn note_in_use(&mut self) {
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        self.in_use_peak = self.in_use_peak.max(self.in_use.saturating_add(waiting));
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes a slot of the instance used last, if any has one free.
    pub fn acquire(&mut self, now: Instant) -> Option<SlotIndex> {
        let index = *self.free.last()?;
        let full_at = self.concurrency;
        let slot = self.slot(index);
        slot.active += 1;
        slot.freezing = false;
        let active = slot.active;
        if active == full_at {
            self.free.pop();
        }
        if active == 1 {
            self.rise(now);
        }
        self.in_use += 1;
        self.note_in_use();
        Some(index)
    }

    fn rise(&mut self, now: Instant) {
        self.history.forecast.rise(now, self.policy, self.history.start());
    }

    /// Records an instance as used for no time, as by a call that ended at once.
    pub fn note_call(&mut self, now: Instant) {
        self.rise(now);
        self.history.forecast.fall(now);
    }

    /// Continues with an earlier history.
    pub fn remember(&mut self, history: History) {
        self.history = history.resumed();
    }

    /// The history to retain when the table is closed.
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Queues a request at the end.
    pub fn wait(&mut self, now: Instant) -> WaiterId {
        let id = self.queue.push(now);
        self.note_in_use();
        id
    }

    /// When the longest waiting request began to wait.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.queue.front_since()
    }

    /// Takes a request off the queue; false when it has been answered.
    pub fn cancel(&mut self, id: WaiterId) -> bool {
        self.queue.take(id)
    }

    /// Takes a waiter off the queue unless a start or lease is on its way for it.
    pub fn give_up(&mut self, id: WaiterId) -> GiveUp {
        match self.queue.position(id) {
            None => GiveUp::Answered,
            Some(_) if self.queue.is_outdated(id) => GiveUp::Covered,
            Some(position) if (position as u64) < self.covered() => GiveUp::Covered,
            Some(_) => {
                self.queue.take(id);
                GiveUp::Removed
            }
        }
    }

    /// Whether an instance with leases takes further ones.
    pub fn takes_requests(&self, index: SlotIndex) -> bool {
        self.slots.get(index).and_then(Option::as_ref).is_some_and(|slot| !slot.closing)
    }

    /// Whether the slot has an instance that has not ended.
    pub fn is_live(&self, index: SlotIndex) -> bool {
        self.slots.get(index).and_then(Option::as_ref).is_some_and(|slot| !slot.ended)
    }

    /// Instances that take requests.
    pub fn open(&self) -> usize {
        self.slots.iter().flatten().filter(|slot| !slot.closing).count()
    }

    /// Records that a lease is about to return: its slot counts as coming free, so no start is
    /// begun for a request that waits for it.
    pub fn returning(&mut self, index: SlotIndex) {
        let slot = self.slot(index);
        if !slot.closing {
            slot.returning += 1;
            self.returning += 1;
        }
    }

    /// Returns a lease that was out for `out`; `announced` when [`InstanceTable::returning`] was
    /// called for it.
    pub fn release(&mut self, index: SlotIndex, announced: bool, out: Duration, now: Instant) -> Released {
        self.history.lease_was_out(out);
        let full_at = self.concurrency;
        let slot = self.slots[index].as_mut().expect("a slot stays while it has leases");
        if announced && slot.returning > 0 {
            slot.returning -= 1;
            self.returning -= 1;
        }
        if !slot.closing
            && let Some(waiter) = self.queue.pop()
        {
            return Released::Serve(waiter);
        }
        slot.active -= 1;
        self.in_use -= 1;
        let (active, closing, ended) = (slot.active, slot.closing, slot.ended);
        if active == 0 {
            slot.idle_since = now;
            self.history.forecast.fall(now);
        }
        match (active, closing) {
            (0, true) if ended => {
                self.vacate(index);
                Released::Gone
            }
            (0, true) => Released::Stop,
            (_, true) => Released::Kept,
            (_, false) => {
                if active + 1 == full_at {
                    self.free.push(index);
                }
                Released::Kept
            }
        }
    }

    /// Gives the instance no new leases; whether it is to be ended now, because it has none.
    pub fn retire(&mut self, index: SlotIndex) -> bool {
        let Some(slot) = self.slots.get_mut(index).and_then(Option::as_mut).filter(|slot| !slot.closing) else {
            return false;
        };
        slot.closing = true;
        self.returning -= std::mem::take(&mut slot.returning);
        let idle = slot.active == 0;
        self.free.retain(|free| *free != index);
        idle
    }

    /// Records that the instance has ended; returns whether its slot is vacant.
    pub fn ended(&mut self, index: SlotIndex) -> bool {
        self.retire(index);
        let slot = self.slot(index);
        slot.ended = true;
        let vacant = slot.active == 0;
        if vacant {
            self.vacate(index);
        }
        vacant
    }

    /// Takes no more requests: returns the idle instances to end, and the requests that were
    /// waiting.
    pub fn drain(&mut self) -> (Vec<SlotIndex>, Vec<WaiterId>) {
        self.phase = Phase::Draining;
        (self.retire_all(), self.queue.drain())
    }

    /// Gives neither existing instances nor those being started any later request; returns the idle
    /// ones, to be ended now.
    pub fn restart(&mut self) -> Vec<SlotIndex> {
        self.outdate_starts();
        self.retire_all()
    }

    /// Gives no instance new leases: returns the idle ones, to be ended now.
    fn retire_all(&mut self) -> Vec<SlotIndex> {
        (0..self.slots.len()).filter(|index| self.retire(*index)).collect()
    }

    /// Whether the table has no instance, start or waiter.
    pub fn is_empty(&self) -> bool {
        self.starts() == 0 && self.queue.is_empty() && self.slots.len() == self.vacant.len()
    }

    /// Closes the table if it is empty.
    pub fn close_if_empty(&mut self) -> bool {
        if self.is_empty() {
            self.phase = Phase::Closed;
        }
        self.is_empty()
    }

    fn covered(&self) -> u64 {
        u64::from(self.starts) * u64::from(self.concurrency) + u64::from(self.returning)
    }

    fn slot(&mut self, index: SlotIndex) -> &mut Slot {
        self.slots[index].as_mut().expect("a slot stays while it has leases or its instance has not ended")
    }

    fn place(&mut self, slot: Slot) -> SlotIndex {
        match self.vacant.pop() {
            Some(index) => {
                self.slots[index] = Some(slot);
                index
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() - 1
            }
        }
    }

    fn vacate(&mut self, index: SlotIndex) {
        self.slots[index] = None;
        self.vacant.push(index);
    }
}

#[cfg(test)]
mod tests;
