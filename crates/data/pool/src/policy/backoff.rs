//! Exponential backoff of a version whose starts fail: pauses double with each failure in a row,
//! then one start at a time is tried until one succeeds. Per generation: another one begins without
//! failures.

use std::time::Duration;

use tokio::time::Instant;
use types::RunStatus;

use crate::launch::LaunchError;

/// How long the pauses are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    /// The first pause; zero disables back-off.
    pub min: Duration,
    pub max: Duration,
}

impl Pauses {
    /// The pause after so many failures in a row.
    pub fn after(self, failures: u32) -> Duration {
        self.min.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(self.max)
    }
}

/// The failures of a version's starts, as long as none has succeeded since.
#[derive(Debug)]
pub(crate) struct Backoff {
    pauses: Pauses,
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Failed {
    /// Number of failures in a row; concurrent starts count once.
    times: u32,
    /// When the first of the failures that count together happened.
    at: Instant,
    until: Instant,
    last: LaunchError,
}

impl Backoff {
    pub fn new(pauses: Pauses) -> Self {
        Self { pauses, failed: None }
    }

    /// Records that a start begun at `begun` failed. Failures for lack of machine resources are not
    /// the version's and do not count.
    pub fn failed(&mut self, error: &LaunchError, begun: Instant, now: Instant) {
        if self.pauses.min.is_zero() || error.status == RunStatus::InsufficientResources {
            return;
        }
        match &mut self.failed {
            Some(failed) if begun < failed.at => failed.last = error.clone(),
            before => {
                let times = before.as_ref().map_or(0, |failed| failed.times) + 1;
                let until = now + self.pauses.after(times);
                *before = Some(Failed { times, at: now, until, last: error.clone() });
            }
        }
    }

    /// Records a success; returns whether failures preceded it.
    pub fn succeeded(&mut self) -> bool {
        self.failed.take().is_some()
    }

    /// The reason to refuse another start beside those in progress: the last failure, with when it
    /// is retried.
    pub fn in_the_way(&self, now: Instant, starts: usize) -> Option<LaunchError> {
        let failed = self.failed.as_ref()?;
        let pause = failed.until.saturating_duration_since(now);
        if pause.is_zero() && starts == 0 {
            return None;
        }
        let times = match failed.times {
            1 => "this start failed".to_owned(),
            times => format!("{times} starts in a row failed"),
        };
        let next = match pause.as_millis().div_ceil(1000) {
            0 => "another is under way".to_owned(),
            seconds => format!("the next is tried in {seconds} s"),
        };
        let LaunchError { status, message, .. } = &failed.last;
        Some(LaunchError { status: *status, message: format!("{message} ({times}; {next})"), ..failed.last.clone() })
    }

    /// Whether the pause has ended without a successful start since.
    pub fn is_due(&self, now: Instant) -> bool {
        self.failed.as_ref().is_some_and(|failed| now >= failed.until)
    }

    /// When a pause ends, or the failures are forgotten.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let failed = self.failed.as_ref()?;
        let forgotten = failed.until + self.pauses.after(failed.times);
        [failed.until, forgotten].into_iter().find(|at| *at > now)
    }

    /// Whether the failures still count: for another period as long as the last pause.
    pub fn is_remembered(&self, now: Instant) -> bool {
        self.failed.as_ref().is_some_and(|failed| now < failed.until + self.pauses.after(failed.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::ColdStart;

    const PAUSES: Pauses = Pauses { min: Duration::from_secs(1), max: Duration::from_secs(60) };

    fn error(status: RunStatus, message: &str) -> LaunchError {
        let (message, detail) = (message.to_owned(), "\noutput".to_owned());
        LaunchError { status, message, detail, cold_start: ColdStart::default(), peak_bytes: 0 }
    }

    fn exited() -> LaunchError {
        error(RunStatus::ContainerStateExited, "it exited")
    }

    #[test]
    fn pauses_double_to_a_limit_and_end_with_a_success() {
        let (mut backoff, mut now) = (Backoff::new(PAUSES), Instant::now());
        assert!(backoff.in_the_way(now, 5).is_none(), "nothing has failed");
        for pause_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            backoff.failed(&exited(), now, now);
            now += Duration::from_secs(pause_s);
            assert!(backoff.in_the_way(now - Duration::from_millis(1), 0).is_some(), "{pause_s}");
            assert!(!backoff.is_due(now - Duration::from_millis(1)) && backoff.is_due(now));
            assert!(backoff.in_the_way(now, 0).is_none(), "{pause_s}");
            assert!(backoff.in_the_way(now, 1).is_some(), "one at a time");
        }
        assert!(backoff.succeeded() && !backoff.succeeded());
        assert!(backoff.in_the_way(now, 5).is_none());
        backoff.failed(&exited(), now, now);
        assert!(backoff.is_due(now + PAUSES.min), "it begins anew");
    }

    #[test]
    fn starts_that_ran_at_the_same_time_count_once() {
        let (mut backoff, begun) = (Backoff::new(PAUSES), Instant::now());
        let now = begun + Duration::from_secs(3);
        (0..100).for_each(|n| backoff.failed(&exited(), begun, now + Duration::from_millis(n)));
        assert!(backoff.is_due(now + PAUSES.min));
        backoff.failed(&exited(), now + PAUSES.min, now + PAUSES.min);
        assert!(!backoff.is_due(now + PAUSES.min * 2) && backoff.is_due(now + PAUSES.min * 3));
    }

    #[test]
    fn the_last_failure_is_told_with_what_comes_next() {
        let (mut backoff, now) = (Backoff::new(PAUSES), Instant::now());
        backoff.failed(&exited(), now, now);
        let told = backoff.in_the_way(now, 0).expect("a pause");
        assert_eq!(told.status, RunStatus::ContainerStateExited);
        assert_eq!(told.message, "it exited (this start failed; the next is tried in 1 s)");
        assert_eq!(told.detail, "\noutput");
        backoff.failed(&exited(), now + PAUSES.min, now + PAUSES.min);
        let told = backoff.in_the_way(now + PAUSES.min, 0).expect("a pause");
        assert!(told.message.ends_with("(2 starts in a row failed; the next is tried in 2 s)"), "{}", told.message);
    }

    #[test]
    fn a_full_machine_says_nothing_and_no_pause_is_no_back_off() {
        let (mut backoff, now) = (Backoff::new(PAUSES), Instant::now());
        backoff.failed(&error(RunStatus::InsufficientResources, "no room"), now, now);
        assert!(backoff.in_the_way(now, 0).is_none());
        let mut off = Backoff::new(Pauses { min: Duration::ZERO, ..PAUSES });
        off.failed(&exited(), now, now);
        assert!(off.in_the_way(now, 9).is_none());
    }

    #[test]
    fn failures_are_forgotten_when_nobody_calls_for_long() {
        let (mut backoff, now) = (Backoff::new(PAUSES), Instant::now());
        assert!(!backoff.is_remembered(now));
        backoff.failed(&exited(), now, now);
        assert!(backoff.is_remembered(now + PAUSES.min) && !backoff.is_remembered(now + PAUSES.min * 2));
        let changes = [0, 1, 2].map(|pauses| backoff.next_change(now + PAUSES.min * pauses));
        assert_eq!(changes, [Some(now + PAUSES.min), Some(now + PAUSES.min * 2), None]);
    }
}
