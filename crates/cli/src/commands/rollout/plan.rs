//! What a rollout decides from what it sees, and how counters become figures. Pure: no I/O, no clock.

use std::time::Duration;

use serde::Serialize;

/// When a step passes and when it is given up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a step is watched.
    pub interval: Duration,
    /// How long it may wait for calls.
    pub step_timeout: Duration,
    /// Largest share of failed calls, 0 to 1.
    pub max_error_rate: f64,
    /// Longest p95, when there is a limit.
    pub max_p95: Option<Duration>,
    /// Calls that a step must see.
    pub min_calls: u64,
}

/// Calls of a version since the platform started, as its metrics count them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls that tell something about the version.
    pub calls: u64,
    /// Those of them that failed.
    pub errors: u64,
}

impl Counters {
    /// What came since `before`. Counters that shrank begin anew: the platform was restarted.
    pub fn since(self, before: Self) -> Self {
        if self.calls < before.calls || self.errors < before.errors {
            return self;
        }
        Self { calls: self.calls - before.calls, errors: self.errors - before.errors }
    }
}

/// What a step has seen of a version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Calls that tell something about the version.
    pub calls: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Their share; `None` without calls.
    pub error_rate: Option<f64>,
    /// 95th percentile of the run time, in milliseconds; `None` when it was not asked for or nothing ran.
    pub p95_ms: Option<f64>,
}

impl Figures {
    /// Figures of the calls counted.
    pub fn of(counted: Counters) -> Self {
        // An answer is counted as an error when it begins, its call when it ends.
        let Counters { calls, errors } = Counters { calls: counted.calls.max(counted.errors), ..counted };
        let error_rate = (calls > 0).then(|| errors as f64 / calls as f64);
        Self { calls, errors, error_rate, p95_ms: None }
    }
}

/// What becomes of a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It goes on.
    Watch,
    /// The next one begins.
    Pass,
    /// The alias is led back, for this reason.
    GiveUp(String),
}

/// Judges what a step has seen of the new version after `elapsed`.
pub fn judge(limits: &Limits, elapsed: Duration, new: &Figures) -> Verdict {
    let rate_of = new.calls.max(limits.min_calls);
    // Also if all calls that are missing went well, the share would be over the limit.
    if rate_of > 0 && new.errors as f64 / rate_of as f64 > limits.max_error_rate {
        let (errors, calls, max) = (new.errors, new.calls, limits.max_error_rate * 100.0);
        return Verdict::GiveUp(format!("{errors} of {calls} calls failed; at most {max}% may"));
    }
    if elapsed < limits.interval {
        return Verdict::Watch;
    }
    if new.calls < limits.min_calls {
        if elapsed < limits.step_timeout {
            return Verdict::Watch;
        }
        let (calls, min_calls) = (new.calls, limits.min_calls);
        return Verdict::GiveUp(format!("only {calls} calls came in {} s; {min_calls} are needed", elapsed.as_secs()));
    }
    match (limits.max_p95, new.p95_ms) {
        (Some(max), Some(p95_ms)) if p95_ms > max.as_secs_f64() * 1000.0 => {
            Verdict::GiveUp(format!("the p95 is {p95_ms:.1} ms; at most {} ms are allowed", max.as_millis()))
        }
        _ => Verdict::Pass,
    }
}

/// How many of `calls` sorted runs, the longest first, come before the 95th percentile.
pub fn runs_before_p95(calls: u64) -> u64 {
    // By nearest rank: of 20 runs it is the second longest, of fewer the longest.
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

    fn verdict(limits: &Limits, seconds: u64, calls: u64, errors: u64, p95_ms: f64) -> &'static str {
        let new = Figures { p95_ms: Some(p95_ms), ..Figures::of(Counters { calls, errors }) };
        match judge(limits, Duration::from_secs(seconds), &new) {
            Verdict::Watch => "watch",
            Verdict::Pass => "pass",
            Verdict::GiveUp(_) => "give up",
        }
    }

    #[test]
    fn errors_are_judged_as_soon_as_they_are_certain() {
        let of = |calls, errors| verdict(&LIMITS, 1, calls, errors, 1.0);
        assert_eq!((of(1, 0), of(1, 1), of(5, 1)), ("watch", "give up", "give up"));
        // One in a hundred is allowed, one in ninety-nine is not.
        assert_eq!((of(100, 1), of(99, 1), of(1_000, 11)), ("watch", "give up", "give up"));
        let lenient = Limits { max_error_rate: 0.5, ..LIMITS };
        let of = |calls, errors| verdict(&lenient, 1, calls, errors, 1.0);
        assert_eq!((of(1, 1), of(10, 10), of(11, 11)), ("watch", "watch", "give up"));
        let none = Limits { max_error_rate: 1.0, ..LIMITS };
        assert_eq!(verdict(&none, 60, 50, 50, 1.0), "pass");
    }

    #[test]
    fn a_step_passes_at_its_end_with_enough_calls() {
        assert_eq!(verdict(&LIMITS, 59, 1_000, 0, 1.0), "watch");
        assert_eq!(verdict(&LIMITS, 60, 1_000, 10, 500.0), "pass");
        assert_eq!(verdict(&LIMITS, 60, 19, 0, 1.0), "watch");
        assert_eq!(verdict(&LIMITS, 600, 19, 0, 1.0), "give up");
        let any = Limits { min_calls: 0, ..LIMITS };
        assert_eq!(verdict(&any, 60, 0, 0, 1.0), "pass");
    }

    #[test]
    fn the_p95_is_judged_at_the_end() {
        assert_eq!(verdict(&LIMITS, 59, 1_000, 0, 501.0), "watch");
        assert_eq!(verdict(&LIMITS, 60, 1_000, 0, 501.0), "give up");
        assert_eq!(verdict(&Limits { max_p95: None, ..LIMITS }, 60, 1_000, 0, 501.0), "pass");
        assert_eq!((runs_before_p95(1), runs_before_p95(19), runs_before_p95(20), runs_before_p95(100)), (0, 0, 1, 5));
    }

    #[test]
    fn counters_that_shrank_begin_anew() {
        let counters = |calls, errors| Counters { calls, errors };
        assert_eq!(counters(15, 3).since(counters(10, 1)), counters(5, 2));
        assert_eq!(counters(4, 1).since(counters(10, 1)), counters(4, 1));
        assert_eq!(Figures::of(counters(0, 0)).error_rate, None);
        assert_eq!(Figures::of(counters(4, 1)).error_rate, Some(0.25));
        assert_eq!(Figures::of(counters(0, 1)).calls, 1);
    }
}
