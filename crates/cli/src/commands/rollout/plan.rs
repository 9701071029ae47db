//! Decisions of a rollout from measured figures. Pure: no I/O, no clock.

use std::time::Duration;

use serde::Serialize;

/// Conditions for passing and failing a step.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Shortest duration of a step.
    pub interval: Duration,
    /// Longest wait for the least number of calls.
    pub step_timeout: Duration,
    /// Largest failure rate, 0 to 1.
    pub max_error_rate: f64,
    /// Largest p95, if limited.
    pub max_p95: Option<Duration>,
    /// Least calls per step.
    pub min_calls: u64,
}

/// Counters of a version since the platform started, from its metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls that count for the version.
    pub calls: u64,
    /// Failed calls among them.
    pub errors: u64,
}

impl Counters {
    /// Difference to `before`. Counters that are smaller than before were reset by a restart of the
    /// platform.
    pub fn since(self, before: Self) -> Self {
        if self.calls < before.calls || self.errors < before.errors {
            return self;
        }
        Self { calls: self.calls - before.calls, errors: self.errors - before.errors }
    }
}

/// Figures of a version in a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Calls that count for the version.
    pub calls: u64,
    /// Failed calls among them.
    pub errors: u64,
    /// Failure rate; `None` without calls.
    pub error_rate: Option<f64>,
    /// 95th percentile of the durations, in milliseconds; `None` if not measured or without
    /// invocations.
    pub p95_ms: Option<f64>,
}

impl Figures {
    /// Figures from counters, without durations.
    pub fn of(counted: Counters) -> Self {
        // An error is counted when its answer begins, the call only when it ends.
        let Counters { calls, errors } = Counters { calls: counted.calls.max(counted.errors), ..counted };
        let error_rate = (calls > 0).then(|| errors as f64 / calls as f64);
        Self { calls, errors, error_rate, p95_ms: None }
    }
}

/// Decision about a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Continue measuring.
    Continue,
    /// Go on with the next step.
    Pass,
    /// Roll back, for this reason.
    RollBack(String),
}

/// Decides about a step by the new version's figures after `elapsed`.
pub fn decide(limits: &Limits, elapsed: Duration, new: &Figures) -> Decision {
    let rate_of = new.calls.max(limits.min_calls);
    // Fails if the rate exceeds the limit even when all missing calls succeed.
    if rate_of > 0 && new.errors as f64 / rate_of as f64 > limits.max_error_rate {
        let (errors, calls, max) = (new.errors, new.calls, limits.max_error_rate * 100.0);
        return Decision::RollBack(format!("{errors} of {calls} calls failed; the limit is {max}%"));
    }
    if elapsed < limits.interval {
        return Decision::Continue;
    }
    if new.calls < limits.min_calls {
        if elapsed < limits.step_timeout {
            return Decision::Continue;
        }
        let (calls, min_calls) = (new.calls, limits.min_calls);
        return Decision::RollBack(format!(
            "only {calls} calls in {} s; at least {min_calls} are required",
            elapsed.as_secs()
        ));
    }
    match (limits.max_p95, new.p95_ms) {
        (Some(max), Some(p95_ms)) if p95_ms > max.as_secs_f64() * 1000.0 => {
            Decision::RollBack(format!("the p95 is {p95_ms:.1} ms; at most {} ms are allowed", max.as_millis()))
        }
        _ => Decision::Pass,
    }
}

/// Number of invocations longer than the 95th percentile of `calls`.
pub fn runs_before_p95(calls: u64) -> u64 {
    // Nearest rank: the second longest of 20 invocations, the longest of fewer.
    calls / 20
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        interval: Duration::from_secs(60),
        step_timeout: Duration::from_secs(600),
        max_error_rate: 0.01,
        max_p95: Some(Duration::from_millis(500)),
        min_calls: 20,
    };

    fn decision(limits: &Limits, seconds: u64, calls: u64, errors: u64, p95_ms: f64) -> &'static str {
        let new = Figures { p95_ms: Some(p95_ms), ..Figures::of(Counters { calls, errors }) };
        match decide(limits, Duration::from_secs(seconds), &new) {
            Decision::Continue => "watch",
            Decision::Pass => "pass",
            Decision::RollBack(_) => "give up",
        }
    }

    #[test]
    fn errors_over_the_limit_fail_a_step_early() {
        let of = |calls, errors| decision(&LIMITS, 1, calls, errors, 1.0);
        assert_eq!((of(1, 0), of(1, 1), of(5, 1)), ("watch", "give up", "give up"));
        // One in a hundred is allowed, one in ninety-nine is not.
        assert_eq!((of(100, 1), of(99, 1), of(1_000, 11)), ("watch", "give up", "give up"));
        let lenient = Limits { max_error_rate: 0.5, ..LIMITS };
        let of = |calls, errors| decision(&lenient, 1, calls, errors, 1.0);
        assert_eq!((of(1, 1), of(10, 10), of(11, 11)), ("watch", "watch", "give up"));
        let none = Limits { max_error_rate: 1.0, ..LIMITS };
        assert_eq!(decision(&none, 60, 50, 50, 1.0), "pass");
    }

    #[test]
    fn a_step_with_enough_calls_passes_at_its_end() {
        assert_eq!(decision(&LIMITS, 59, 1_000, 0, 1.0), "watch");
        assert_eq!(decision(&LIMITS, 60, 1_000, 10, 500.0), "pass");
        assert_eq!(decision(&LIMITS, 60, 19, 0, 1.0), "watch");
        assert_eq!(decision(&LIMITS, 600, 19, 0, 1.0), "give up");
        let any = Limits { min_calls: 0, ..LIMITS };
        assert_eq!(decision(&any, 60, 0, 0, 1.0), "pass");
    }

    #[test]
    fn the_p95_is_compared_at_the_end() {
        assert_eq!(decision(&LIMITS, 59, 1_000, 0, 501.0), "watch");
        assert_eq!(decision(&LIMITS, 60, 1_000, 0, 501.0), "give up");
        assert_eq!(decision(&Limits { max_p95: None, ..LIMITS }, 60, 1_000, 0, 501.0), "pass");
        assert_eq!((runs_before_p95(1), runs_before_p95(19), runs_before_p95(20), runs_before_p95(100)), (0, 0, 1, 5));
    }

    #[test]
    fn smaller_counters_were_reset() {
        let counters = |calls, errors| Counters { calls, errors };
        assert_eq!(counters(15, 3).since(counters(10, 1)), counters(5, 2));
        assert_eq!(counters(4, 1).since(counters(10, 1)), counters(4, 1));
        assert_eq!(Figures::of(counters(0, 0)).error_rate, None);
        assert_eq!(Figures::of(counters(4, 1)).error_rate, Some(0.25));
        assert_eq!(Figures::of(counters(0, 1)).calls, 1);
    }
}
