//! The starts of a version: for waiting requests, for its check, and before requests.

use tokio::time::Instant;

use super::effect::{Effect, InTheWay, Refused, StartReason};
use super::{VersionFacts, VersionState};
use crate::policy::admission::limit::LimitExceeded;
use crate::policy::admission::{Admission, StartRequest};
use crate::policy::instance_table::Phase;

impl VersionState {
    /// Whether waiting requests need starts beside those in progress.
    pub fn wants_starts(&self, now: Instant) -> bool {
        self.table.starts_wanted(now) > 0
    }

    /// Begins the starts that waiting requests need, as far as back-off and admission allow.
    /// Returns the refusal.
    pub fn start_wanted(
        &mut self,
        admission: &mut Admission,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Option<Refused> {
        for _ in 0..self.table.starts_wanted(now) {
            let since = self.table.waiting_since().unwrap_or(now);
            if let Some(error) = self.backoff.in_the_way(now, self.table.starts()) {
                let room_expected = self.table.open() > 0 || self.table.starts() > 0;
                return Some(Refused { why: InTheWay::Failure(error), room_expected, since });
            }
            let request = start_request(&self.facts, since);
            if let Err(limit) = admission.reserve(&request, now) {
                let room_expected = admission.room_expected(&request, limit);
                admission.claim(&request, limit);
                return Some(Refused { why: InTheWay::Limit(limit), room_expected, since });
            }
            let waiter = self.table.begin_start().expect("a start is wanted for a waiter that has none");
            effects.push(Effect::Start(StartReason::Request(waiter)));
        }
        None
    }

    /// Begins the start of a version's check.
    pub fn start_check(
        &mut self,
        admission: &mut Admission,
        since: Instant,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), LimitExceeded> {
        admission.reserve(&start_request(&self.facts, since), now)?;
        self.table.begin_prewarm();
        effects.push(Effect::Start(StartReason::Check));
        Ok(())
    }

    /// Begins the starts that provisioned concurrency lacks, as far as admission allows.
    pub fn start_provisioned(&mut self, admission: &mut Admission, now: Instant, effects: &mut Vec<Effect>) {
        for _ in 0..self.provisioning.missing(self.table.open() + self.table.starts(), now) {
            let failing = self.backoff.in_the_way(now, self.table.starts()).is_some();
            if self.table.phase() != Phase::Open || failing {
                return;
            }
            if let Err(limit) = admission.reserve_ahead(&start_request(&self.facts, now), now) {
                return self.provisioning.failed(format!("concurrency exceeded {limit}"), now);
            }
            self.table.begin_prewarm();
            effects.push(Effect::Start(StartReason::Provisioned));
        }
    }

    /// Begins the starts that the forecast needs, as far as admission allows. A request that finds
    /// no instance has a start of its own.
    pub fn start_forecast(&mut self, admission: &mut Admission, now: Instant, effects: &mut Vec<Effect>) {
        while self.table.missing(self.table.need(now).start) > 0 && self.prewarm_one(admission, now, effects) {}
    }

    /// Begins the start that the next request is expected to need.
    pub fn start_next(&mut self, admission: &mut Admission, now: Instant, effects: &mut Vec<Effect>) {
        if self.table.lacks_next(now) {
            self.prewarm_one(admission, now, effects);
        }
    }

    fn prewarm_one(&mut self, admission: &mut Admission, now: Instant, effects: &mut Vec<Effect>) -> bool {
        if self.stopped || self.backoff.in_the_way(now, self.table.starts()).is_some() {
            return false;
        }
        if let Err(limit) = admission.reserve_ahead(&start_request(&self.facts, now), now) {
            tracing::debug!(function = %self.facts.function, %limit, "no room to prewarm an instance");
            return false;
        }
        self.table.begin_prewarm();
        effects.push(Effect::Start(StartReason::Forecast));
        true
    }

    /// Whether instances are to be started that no request waits for.
    pub fn lacks_prewarmed(&self, now: Instant) -> bool {
        let there = self.table.open() + self.table.starts();
        self.provisioning.missing(there, now) > 0 || self.table.missing(self.table.need(now).start) > 0
    }
}

/// The start of an instance for a request that began to wait at `since`.
fn start_request(facts: &VersionFacts, since: Instant) -> StartRequest<'_> {
    let VersionFacts { version, function, memory_mb, .. } = facts;
    StartRequest { version, function, memory_mb: *memory_mb, since }
}
