//! Instances without requests: how many are kept or prewarmed, and which are frozen, ended or
//! evicted.

use std::time::Duration;

use tokio::time::Instant;

use super::{InstanceTable, Phase, SlotIndex};
use crate::policy::forecast::Need;

impl InstanceTable {
    /// The number of instances that calls need, now and soon; the owner may want more.
    pub fn need(&self, now: Instant) -> Need {
        if self.one_shot {
            return Need::default();
        }
        self.history.forecast.need(now, self.policy, self.history.start())
    }

    /// Whether another instance is to be started right after a request took one, because others
    /// often follow.
    pub fn lacks_next(&self, now: Instant) -> bool {
        if self.one_shot {
            return false;
        }
        let need = self.history.forecast.ahead(now, self.policy, self.history.start());
        need.is_some_and(|need| self.missing(need) > 0)
    }

    /// How many of `need` instances neither exist nor are being started.
    pub fn missing(&self, need: usize) -> usize {
        if self.phase == Phase::Open { need.saturating_sub(self.open() + self.starts()) } else { 0 }
    }

    /// Whether calls will need more instances than exist, now or later.
    pub fn waits_for_calls(&self, now: Instant) -> bool {
        self.phase == Phase::Open && self.need(now).later
    }

    /// Idle instances that calls and provisioned concurrency need.
    fn keep(&self, now: Instant, wanted: u32) -> u32 {
        u32::try_from(self.need(now).keep).unwrap_or(u32::MAX).max(wanted)
    }

    /// Retires idle instances that are not needed but leaves `wanted` open; the caller ends them.
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

    /// When something changes without an event: an instance has been idle long enough to be frozen
    /// or ended, or the forecast changes.
    pub fn next_change(&self, now: Instant, freeze_after: Option<Duration>, wanted: u32) -> Option<Instant> {
        let unfrozen = self.idle().filter(|(index, _)| !self.is_freezing(*index));
        let frozen = freeze_after.and_then(|after| unfrozen.map(|(_, since)| since + after).min());
        let ended = self.spare(self.keep(now, wanted)).map(|(_, since)| since + self.policy.keep_min).min();
        let forecast = self.history.forecast.next_change(now, self.policy, self.history.start());
        [frozen, ended, forecast].into_iter().flatten().min()
    }

    /// Marks the instances that have been idle for `after`: they are to be frozen, unless a request
    /// came first, as [`InstanceTable::is_freezing`] reports.
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

    /// The idle instances beyond those that `wanted` open instances need; the most recently used
    /// ones are kept.
    pub fn spare(&self, wanted: u32) -> impl Iterator<Item = (SlotIndex, Instant)> {
        self.idle().take(self.open().saturating_sub(wanted as usize))
    }

    /// Retires an instance if it still has no requests; whether it is to be ended.
    pub fn evict(&mut self, index: SlotIndex) -> bool {
        let idle = self.slots.get(index).and_then(Option::as_ref).is_some_and(|slot| slot.active == 0);
        idle && self.retire(index)
    }
}
