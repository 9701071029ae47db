//! The instance table of one version: which instance serves whom, who waits, and how many starts
//! that calls for.
//!
//! Invariants (property tests below): an instance never has more leases than the version's
//! concurrency; nothing waits while an instance has a free slot; every waiter leaves exactly once;
//! an instance with leases is never marked for freezing.

use std::time::Duration;

use tokio::time::Instant;

use crate::policy::forecast::Need;
use crate::policy::history::History;
use crate::policy::keep_alive::KeepAlivePolicy;
use crate::policy::queue::{Queue, WaiterId};

/// Where an instance stands in the table; valid while it has leases or has not ended.
pub(crate) type SlotIndex = usize;

/// Whether the version takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It does.
    Open,
    /// It was replaced or removed: instances end when their leases return.
    Draining,
    /// Nothing of it is left and it was taken out of the pool.
    Closed,
}

struct Slot {
    active: u32,
    /// Leases about to return, whose slots count as coming free.
    returning: u32,
    idle_since: Instant,
    /// Idle for so long that it is frozen, or about to be.
    freezing: bool,
    /// Takes no new leases; to be ended when the last one returns.
    closing: bool,
    ended: bool,
}

/// What the return of a lease leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Released {
    /// The instance stays, with or without other requests.
    Kept,
    /// The slot goes to this waiter.
    Serve(WaiterId),
    /// The instance is to be ended.
    Stop,
    /// The instance had ended already and its place is vacant.
    Gone,
}

/// What a finished start leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Started {
    /// Where the instance stands.
    pub slot: SlotIndex,
    /// The requests that get its first leases; the request that the start was begun for comes first.
    pub granted: Vec<WaiterId>,
    /// The version drains and no request needs the instance: end it.
    pub end: bool,
}

/// What becomes of a request that gives up waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// A start or a returning lease is on its way for it.
    Covered,
    /// It was taken off the queue.
    Removed,
    /// Its answer is under way already.
    Answered,
}

/// The instance table; see the module.
pub(crate) struct InstanceTable {
    concurrency: u32,
    policy: KeepAlivePolicy,
    phase: Phase,
    slots: Vec<Option<Slot>>,
    vacant: Vec<SlotIndex>,
    /// Open instances with a free slot; the one used last is on top, so that the others can become
    /// idle.
    free: Vec<SlotIndex>,
    queue: Queue,
    starts: u32,
    returning: u32,
    history: History,
    /// Leases that are out.
    in_use: u32,
    /// The most that were out or waited for at once since the peak was taken.
    in_use_peak: u32,
}

impl InstanceTable {
    pub fn new(concurrency: u32, policy: KeepAlivePolicy) -> Self {
        Self {
            concurrency: concurrency.max(1),
            policy,
            phase: Phase::Open,
            slots: Vec::new(),
            vacant: Vec::new(),
            free: Vec::new(),
            queue: Queue::new(),
            starts: 0,
            returning: 0,
            history: History::default(),
            in_use: 0,
            in_use_peak: 0,
        }
    }

    /// The most requests there were at once since this was asked last, those that waited included.
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

    /// An instance was in use for no time at all, as of a call that was over at once.
    pub fn note_call(&mut self, now: Instant) {
        self.rise(now);
        self.history.forecast.fall(now);
    }

    /// How many instances calls need, now and soon; the owner may want more.
    pub fn need(&self, now: Instant) -> Need {
        self.history.forecast.need(now, self.policy, self.history.start())
    }

    /// Whether another one is to be started right after a request took one, because others often
    /// follow.
    pub fn lacks_next(&self, now: Instant) -> bool {
        let need = self.history.forecast.ahead(now, self.policy, self.history.start());
        need.is_some_and(|need| self.missing(need) > 0)
    }

    /// How many of `need` instances are neither there nor being started.
    pub fn missing(&self, need: usize) -> usize {
        if self.phase == Phase::Open { need.saturating_sub(self.open() + self.starts()) } else { 0 }
    }

    /// Whether calls will need more than there is, if not now then later.
    pub fn waits_for_calls(&self, now: Instant) -> bool {
        self.phase == Phase::Open && self.need(now).later
    }

    /// Goes on with what is known from before.
    pub fn remember(&mut self, history: History) {
        self.history = history.resumed();
    }

    /// What is to be remembered when the table is closed.
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Queues a request behind those that wait already.
    pub fn wait(&mut self, now: Instant) -> WaiterId {
        let id = self.queue.push(now);
        self.note_in_use();
        id
    }

    /// Since when the one waits that has waited for longest.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.queue.front_since()
    }

    /// Takes a request off the queue; false when it has been answered.
    pub fn cancel(&mut self, id: WaiterId) -> bool {
        self.queue.take(id)
    }

    /// Takes a waiter off the queue unless something is on its way for it.
    pub fn give_up(&mut self, id: WaiterId) -> GiveUp {
        match self.queue.position(id) {
            None => GiveUp::Answered,
            Some(position) if (position as u64) < self.covered() => GiveUp::Covered,
            Some(_) => {
                self.queue.take(id);
                GiveUp::Removed
            }
        }
    }

    /// How many more starts the waiters need, beside those in progress, the leases about to return,
    /// and those that are likely to return before an instance would be ready.
    pub fn starts_wanted(&self, now: Instant) -> u32 {
        if self.phase != Phase::Open {
            return 0;
        }
        let uncovered = (self.queue.len() as u64).saturating_sub(self.covered() + self.likely(now));
        u32::try_from(uncovered.div_ceil(u64::from(self.concurrency))).unwrap_or(u32::MAX)
    }

    /// Leases that are likely to return within the time of a start: whoever waits for one of them
    /// waits for less than that.
    fn likely(&self, now: Instant) -> u64 {
        let out = self.in_use.saturating_sub(self.returning);
        self.queue.busy_since().map_or(0, |since| self.history.likely(out, now.saturating_duration_since(since)))
    }

    /// How long a request for which no start was begun waits before starts are looked at again.
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

    /// Counts a start that no request is waiting for; requests that wait by then are served by it all
    /// the same.
    pub fn begin_prewarm(&mut self) {
        self.starts += 1;
    }

    /// Such a start failed. Requests that wait need one of their own.
    pub fn prewarm_failed(&mut self) {
        self.starts -= 1;
    }

    /// The same of one that the forecast called for: it calls for none until the next request.
    pub fn forecast_failed(&mut self) {
        self.starts -= 1;
        self.history.forecast.start_failed();
    }

    /// Whether an instance with leases takes further ones.
    pub fn takes_requests(&self, index: SlotIndex) -> bool {
        self.slots.get(index).and_then(Option::as_ref).is_some_and(|slot| !slot.closing)
    }

    /// Whether an instance stands there that has not ended.
    pub fn is_live(&self, index: SlotIndex) -> bool {
        self.slots.get(index).and_then(Option::as_ref).is_some_and(|slot| !slot.ended)
    }

    /// Instances that take requests.
    pub fn open(&self) -> usize {
        self.slots.iter().flatten().filter(|slot| !slot.closing).count()
    }

    /// Starts in progress.
    pub fn starts(&self) -> usize {
        self.starts as usize
    }

    /// A start that was begun for `waiter`, if for any, and took so long, has an instance.
    pub fn started(&mut self, waiter: Option<WaiterId>, took: Duration, now: Instant) -> Started {
        self.starts -= 1;
        self.history.start_took(took);
        let mut granted: Vec<WaiterId> = waiter.filter(|waiter| self.queue.take(*waiter)).into_iter().collect();
        while (granted.len() as u64) < u64::from(self.concurrency) {
            let Some(waiter) = self.queue.pop() else { break };
            granted.push(waiter);
        }
        let active = u32::try_from(granted.len()).expect("at most the concurrency, which is a u32");
        self.in_use += active;
        if active > 0 {
            self.rise(now);
        }
        let open = self.phase == Phase::Open;
        let slot = Slot { active, returning: 0, idle_since: now, freezing: false, closing: !open, ended: false };
        let index = self.place(slot);
        if open && active < self.concurrency {
            self.free.push(index);
        }
        Started { slot: index, granted, end: !open && active == 0 }
    }

    /// A start failed; says which waiters fail with it: the one it was begun for, and those it
    /// would have served. When nothing is left that could serve the others, all fail.
    pub fn start_failed(&mut self, waiter: WaiterId) -> Vec<WaiterId> {
        self.starts -= 1;
        let mut failed = Vec::new();
        if self.queue.take(waiter) {
            failed.push(waiter);
        }
        let alone = self.starts == 0 && self.slots.iter().flatten().all(|slot| slot.ended);
        let served = if alone { u64::MAX } else { u64::from(self.concurrency) };
        while (failed.len() as u64) < served && self.queue.len() as u64 > self.covered() {
            let Some(waiter) = self.queue.pop() else { break };
            failed.push(waiter);
        }
        failed
    }

    /// A lease is about to return: its slot counts as coming free, so that no start is begun for
    /// who waits for it.
    pub fn returning(&mut self, index: SlotIndex) {
        let slot = self.slot(index);
        if !slot.closing {
            slot.returning += 1;
            self.returning += 1;
        }
    }

    /// A lease that was out for so long returns; `announced` when [`InstanceTable::returning`] was
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

    /// The instance has ended; whether its place is vacant.
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

    /// Retires idle instances that are not needed but leaves `wanted` open; they are to be ended.
    /// One that has only just become idle stays.
    pub fn expire(&mut self, now: Instant, wanted: u32) -> Vec<SlotIndex> {
        let keep = self.keep(now, wanted);
        let keep_min = self.policy.keep_min;
        let old: Vec<SlotIndex> = self
            .spare(keep)
            .filter(|(_, since)| now.saturating_duration_since(*since) >= keep_min)
            .map(|(index, _)| index)
            .collect();
        old.into_iter().filter(|index| self.retire(*index)).collect()
    }

    /// Idle instances that calls and provisioned concurrency need.
    fn keep(&self, now: Instant, wanted: u32) -> u32 {
        u32::try_from(self.need(now).keep).unwrap_or(u32::MAX).max(wanted)
    }

    /// When something changes by itself: an instance has been idle for long enough to be frozen or
    /// ended, or the forecast calls for more or fewer.
    pub fn next_change(&self, now: Instant, freeze_after: Option<Duration>, wanted: u32) -> Option<Instant> {
        let unfrozen = self.idle().filter(|(index, _)| !self.is_freezing(*index));
        let frozen = freeze_after.and_then(|after| unfrozen.map(|(_, since)| since + after).min());
        let ended = self.spare(self.keep(now, wanted)).map(|(_, since)| since + self.policy.keep_min).min();
        let forecast = self.history.forecast.next_change(now, self.policy, self.history.start());
        [frozen, ended, forecast].into_iter().flatten().min()
    }

    /// Marks the instances that have been idle for `after`: they are to be frozen, unless
    /// [`InstanceTable::is_freezing`] says by then that a request came first.
    pub fn freeze(&mut self, now: Instant, after: Duration) -> Vec<SlotIndex> {
        let idle: Vec<SlotIndex> = self
            .idle()
            .filter(|(_, since)| now.saturating_duration_since(*since) >= after)
            .map(|(index, _)| index)
            .collect();
        idle.into_iter().filter(|index| !std::mem::replace(&mut self.slot(*index).freezing, true)).collect()
    }

    /// Whether an instance is marked and no request came since.
    pub fn is_freezing(&self, index: SlotIndex) -> bool {
        self.slots.get(index).and_then(Option::as_ref).is_some_and(|slot| slot.freezing)
    }

    /// The instances without requests, and since when.
    pub fn idle(&self) -> impl Iterator<Item = (SlotIndex, Instant)> {
        self.free.iter().filter_map(|index| {
            let slot = self.slots[*index].as_ref()?;
            (slot.active == 0).then_some((*index, slot.idle_since))
        })
    }

    /// The same without those that `wanted` open instances need; the ones that were used last are
    /// kept.
    pub fn spare(&self, wanted: u32) -> impl Iterator<Item = (SlotIndex, Instant)> {
        self.idle().take(self.open().saturating_sub(wanted as usize))
    }

    /// Retires an instance if it still has no requests; whether it is to be ended.
    pub fn evict(&mut self, index: SlotIndex) -> bool {
        let idle = self.slots.get(index).and_then(Option::as_ref).is_some_and(|slot| slot.active == 0);
        idle && self.retire(index)
    }

    /// Takes no more requests: says which idle instances are to be ended, and which requests waited
    /// in vain.
    pub fn drain(&mut self) -> (Vec<SlotIndex>, Vec<WaiterId>) {
        self.phase = Phase::Draining;
        let idle = (0..self.slots.len()).filter(|index| self.retire(*index)).collect();
        (idle, self.queue.drain())
    }

    /// Whether nothing is in the table: no instance, start or waiter.
    pub fn is_empty(&self) -> bool {
        self.starts == 0 && self.queue.is_empty() && self.slots.len() == self.vacant.len()
    }

    /// Closes the table if nothing is in it.
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
#[path = "instance_table_tests.rs"]
mod tests;
