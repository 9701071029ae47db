//! Provisioned concurrency: how many instances to start now, and when to retry after failures.

mod target;

use std::sync::Arc;

use tokio::time::Instant;
use types::{FunctionKey, ProvisionedSpec, VersionName};

use self::target::Target;
use crate::policy::backoff::Pauses;
use crate::usage::{ProvisionedState, ProvisionedStatus};

/// The provisioned concurrency of a version, and its recent failures.
#[derive(Debug)]
pub(crate) struct Provisioning {
    /// Pauses after failed starts and after starts without room.
    pauses: Pauses,
    target: Option<Target>,
    wanted: u32,
    failures: u32,
    again: Option<Instant>,
    reason: Option<String>,
}

impl Provisioning {
    pub fn new(pauses: Pauses) -> Self {
        Self { pauses, target: None, wanted: 0, failures: 0, again: None, reason: None }
    }

    pub fn wanted(&self) -> u32 {
        self.wanted
    }

    /// What the owner wants, even if only at other times.
    pub fn spec(&self) -> Option<&Arc<ProvisionedSpec>> {
        self.target.as_ref().map(Target::spec)
    }

    /// When a pause ends or usage is next sampled.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let look = self.target.as_ref().and_then(Target::next_look);
        look.into_iter().chain(self.again.filter(|again| *again > now)).min()
    }

    /// When the next scheduled action takes effect, in Unix milliseconds.
    pub fn next_action_ms(&self) -> Option<i64> {
        self.target.as_ref().and_then(Target::next_action_ms)
    }

    /// Replaces what the owner wants; returns whether it changed.
    pub fn follow(&mut self, spec: Option<&Arc<ProvisionedSpec>>) -> bool {
        let new = self.spec() != spec;
        if new {
            self.target = spec.map(|spec| Target::new(Arc::clone(spec)));
        }
        new
    }

    /// Whether [`Provisioning::update`] will sample usage.
    pub fn looks_at_use(&self, now: Instant) -> bool {
        self.target.as_ref().is_some_and(|target| target.looks_at_use(now))
    }

    /// Updates the wanted number, as [`Target::number`] does.
    pub fn update(&mut self, now: Instant, unix_ms: i64, in_use: u32, concurrency: u32) {
        let number = self.target.as_mut().map_or(0, |target| target.number(now, unix_ms, in_use, concurrency));
        self.want(number);
    }

    /// Sets another wanted number; earlier failures no longer delay a start.
    fn want(&mut self, number: u32) {
        if number != self.wanted {
            (self.wanted, self.failures, self.again, self.reason) = (number, 0, None, None);
        }
    }

    /// Starts to begin now, given the number of instances that exist or are being started.
    pub fn missing(&self, there: usize, now: Instant) -> usize {
        if self.again.is_some_and(|again| now < again) {
            return 0;
        }
        (self.wanted as usize).saturating_sub(there)
    }

    /// Records a failed start, for which the version backs off.
    pub fn start_failed(&mut self, reason: String) {
        self.reason = Some(reason);
    }

    /// Records that there is no room, or that no start may begin: the next one waits for a pause.
    pub fn failed(&mut self, reason: String, now: Instant) {
        self.failures += 1;
        self.again = Some(now + self.pauses.after(self.failures));
        self.reason = Some(reason);
    }

    /// Records a successful start.
    pub fn succeeded(&mut self) {
        (self.failures, self.again, self.reason) = (0, None, None);
    }

    /// The reported state, given the number of instances.
    pub fn state(
        &self,
        function: FunctionKey,
        version: VersionName,
        memory_mb: u32,
        instances: usize,
    ) -> ProvisionedState {
        let ready = u32::try_from(instances).unwrap_or(u32::MAX).min(self.wanted);
        let status = match &self.reason {
            _ if ready == self.wanted => ProvisionedStatus::Done,
            Some(_) => ProvisionedStatus::Failed,
            None => ProvisionedStatus::InProgress,
        };
        let reason = self.reason.clone().filter(|_| status == ProvisionedStatus::Failed);
        ProvisionedState { function, version, memory_mb, wanted: self.wanted, ready, status, reason }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn wanting(number: u32) -> Provisioning {
        let pauses = Pauses { min: Duration::from_secs(1), max: Duration::from_secs(300) };
        let mut provisioned = Provisioning::new(pauses);
        provisioned.want(number);
        provisioned
    }

    fn status(provisioned: &Provisioning, instances: usize) -> (u32, ProvisionedStatus) {
        let key = FunctionKey { namespace: "default".parse().expect("valid"), name: "f1".parse().expect("valid") };
        let state = provisioned.state(key, VersionName::Number(1), 128, instances);
        (state.ready, state.status)
    }

    #[test]
    fn as_many_are_started_as_are_missing_and_told_of() {
        let (provisioned, now) = (wanting(3), Instant::now());
        assert_eq!([0, 1, 3, 5].map(|there| provisioned.missing(there, now)), [3, 2, 0, 0]);
        assert_eq!(status(&provisioned, 2), (2, ProvisionedStatus::InProgress));
        assert_eq!(status(&provisioned, 7), (3, ProvisionedStatus::Done));
    }

    #[test]
    fn pauses_after_failures_grow_to_a_limit_and_end_with_a_success_or_another_number() {
        let (mut provisioned, mut now) = (wanting(2), Instant::now());
        for pause_s in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            provisioned.failed("no room".to_owned(), now);
            assert_eq!(status(&provisioned, 1), (1, ProvisionedStatus::Failed));
            now += Duration::from_secs(pause_s);
            assert_eq!(provisioned.missing(1, now - Duration::from_millis(1)), 0);
            assert_eq!(provisioned.missing(1, now), 1);
        }
        provisioned.failed("no room".to_owned(), now);
        provisioned.want(2);
        assert_eq!(provisioned.missing(0, now), 0, "nothing is new");
        provisioned.want(3);
        assert_eq!(provisioned.missing(0, now), 3);
        provisioned.failed("no room".to_owned(), now);
        provisioned.succeeded();
        assert_eq!((provisioned.missing(1, now), status(&provisioned, 1)), (2, (1, ProvisionedStatus::InProgress)));
    }
}
