//! The deadline of a version: its due work, and the time of the next.

use std::time::Duration;

use tokio::time::Instant;

use super::VersionState;
use super::effect::Effect;
use crate::policy::affinity::Affinity;
use crate::policy::history::History;
use crate::policy::instance_table::Phase;

/// How far ahead maintenance trusts the wall clock, which may be set: scheduled actions are late by
/// at most this.
const WALL_CLOCK_TRUST: Duration = Duration::from_secs(5);

impl VersionState {
    /// Whether the pause after its failures has ended: one start is due.
    pub fn backoff_is_over(&self, now: Instant) -> bool {
        self.backoff.is_due(now)
    }

    /// Does the due work: ends sessions that have ended, and freezes and ends instances that have
    /// been idle for long enough.
    pub fn expire(&mut self, now: Instant, unix_ms: i64, effects: &mut Vec<Effect>) {
        self.update_provisioning(now, unix_ms);
        if let Some(affinity) = &mut self.affinity {
            effects.extend(affinity.expire(now).into_iter().map(Effect::Return));
        }
        let expired = self.table.expire(now, self.provisioning.wanted());
        effects.extend(expired.into_iter().map(|slot| Effect::Stop { slot, capped: false }));
        let Some(after) = self.freeze_after else { return };
        effects.extend(self.table.freeze(now, after).into_iter().map(|slot| Effect::Freeze { slot }));
        let silent = self.affinity.as_ref().map(Affinity::silent).unwrap_or_default();
        let long = silent.into_iter().filter(|(_, since)| now.saturating_duration_since(*since) >= after);
        effects.extend(long.map(|(slot, _)| Effect::Freeze { slot }));
    }

    /// Whether the version has no instances, starts or waiters and no pending work.
    pub fn is_over(&self, now: Instant) -> bool {
        // Its check waits for room, or its failures are remembered.
        let waits = self.table.phase() == Phase::Open && (self.unserved || self.backoff.is_remembered(now));
        !waits
            && self.table.is_empty()
            && self.provisioning.spec().is_none()
            && self.affinity.as_ref().is_none_or(Affinity::is_empty)
            && !self.table.waits_for_calls(now)
    }

    /// Takes no more requests, as the version is empty; returns the history to retain.
    pub fn close(&mut self) -> History {
        self.table.close_if_empty();
        self.table.history()
    }

    /// When this version is to be examined next, if no event comes before. To be called after
    /// [`Self::expire`].
    pub fn next_deadline(&self, now: Instant, unix_ms: i64) -> Option<Instant> {
        let table = self.table.next_change(now, self.freeze_after, self.provisioning.wanted());
        let backoff = self.backoff.next_change(now);
        let wall_clock = self.provisioning.next_action_ms().map(|at_ms| {
            let left = Duration::from_millis(u64::try_from(at_ms.saturating_sub(unix_ms)).unwrap_or(0));
            now + left.min(WALL_CLOCK_TRUST)
        });
        let sessions = self.affinity.as_ref().and_then(|affinity| {
            let silent = self.freeze_after.and_then(|after| {
                affinity.silent().into_values().map(|since| since + after).filter(|at| *at > now).min()
            });
            silent.into_iter().chain(affinity.next_end()).min()
        });
        let lacks = !self.stopped
            && self.table.missing(self.table.need(now).start) > 0
            && self.backoff.in_the_way(now, self.table.starts()).is_none();
        let all = [table, backoff, self.provisioning.next_change(now), wall_clock, sessions, lacks.then_some(now)];
        all.into_iter().flatten().min()
    }

    /// The deadline of a version that was just used, when it needs an earlier one than the one set.
    #[inline]
    pub fn use_deadline(&self, now: Instant) -> Option<Instant> {
        let at = now + self.use_delay;
        self.deadline.is_none_or(|deadline| at < deadline).then_some(at)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Records the deadline as set or passed; returns the previous one.
    pub fn set_deadline(&mut self, at: Option<Instant>) -> Option<Instant> {
        std::mem::replace(&mut self.deadline, at)
    }
}
