//! The outcome of a run (contract 4.9): success, another run and when, or a dead letter and why.

use std::time::Duration;

use types::RunStatus;

use crate::repeat::Repeat;

/// Pause after a run that failed in the function, and after one that found no quota.
const PAUSE_MS: i64 = 60_000;
/// First pause after a system failure; the maximum doubles with each further one.
const SYSTEM_PAUSE_MS: i64 = 1_000;
/// Longest pause after a failure of the system.
const SYSTEM_PAUSE_MS_MAX: i64 = 5 * 60_000;

/// The party responsible for the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Success,
    /// The caller: the same call can never succeed.
    Caller,
    /// The function: counted against `RetryNum`.
    Function,
    /// No room; not counted as an attempt.
    Quota,
    /// The platform.
    System,
    /// It was terminated.
    Terminated,
}

/// Sorts the status codes of contract 4.5.
pub(crate) fn class(status: RunStatus) -> Class {
    use RunStatus as S;
    match status {
        S::Success => Class::Success,
        S::InvalidEvent
        | S::RequestTooLarge
        | S::FunctionNotFound
        | S::InvalidParameterValue
        | S::UnauthorizedOperation
        | S::QualifierNotFound => Class::Caller,
        S::ResourceLimit | S::ResourceLimitReached | S::InsufficientResources => Class::Quota,
        S::InvalidResponseFormat
        | S::ContainerStateExited
        | S::ResponseTooLarge
        | S::UserCodeException
        | S::TimeLimitReached
        | S::MemoryLimitReached
        | S::UserProcessExited
        | S::UserCodeError
        | S::ContainerInitError
        | S::PortBindingFailed
        | S::InitContainerTimeout
        | S::WebSocketIdleTimeout
        | S::WebSocketClientClosed => Class::Function,
        S::FunctionStatusError | S::PullImageFailed | S::PullImageTimeOut | S::InternalError => Class::System,
        S::RequestCanceled => Class::Terminated,
    }
}

/// The failures of an event before the run that just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct History {
    /// Runs that failed in the function, without the last one.
    pub function_failures: u32,
    /// System failures in a row, without the last one.
    pub system_failures: u32,
    /// `RetryNum`.
    pub retries_max: u32,
    /// Unix milliseconds after which no run may begin.
    pub expires_ms: i64,
}

/// The next step of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Finished,
    Aborted,
    /// Another run, due at that Unix millisecond; with the counts to store.
    Again {
        due_ms: i64,
        function_failures: u32,
        system_failures: u32,
    },
    /// There was no room: nothing ran, and all events of the function wait until then.
    Wait {
        until_ms: i64,
    },
    Dead(Reason),
}

/// Why an event became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The call can never succeed.
    Refused,
    /// `RetryNum` is used up.
    RetriesExhausted,
    /// `MsgTTL` has passed, or would before the next run.
    Expired,
    /// The platform ended during each of its runs.
    Recoveries,
    /// The platform ended during its run, and its function's events are not repeated.
    CutOff,
    /// Its run failed, and its function's events are not repeated.
    NotRepeated,
    /// The maximum of events have led to it, each caused by a run of the previous one.
    ChainTooDeep,
    /// Its row is damaged.
    Unreadable,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::RetriesExhausted => "retries_exhausted",
            Self::Expired => "expired",
            Self::Recoveries => "platform_ended_during_each_run",
            Self::CutOff => "platform_ended_during_the_run",
            Self::NotRepeated => "not_repeated",
            Self::ChainTooDeep => "chain_too_deep",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Reason {
    /// Why an event was given up although its last run, if any, could be followed by another;
    /// `None` where the error of that run suffices.
    pub(crate) fn explanation(self) -> Option<&'static str> {
        match self {
            Self::Expired => {
                Some("its maximum age (MsgTTL, or max_age_s of its trigger) ended before its next run could begin")
            }
            Self::Recoveries => Some("the platform ended during each of its runs (events.recoveries_max)"),
            Self::CutOff => Some("the platform ended during its run, and its function's events do not run again"),
            Self::Refused | Self::RetriesExhausted | Self::NotRepeated | Self::Unreadable | Self::ChainTooDeep => None,
        }
    }

    /// The result of an event that was given up for this reason after a run that failed with
    /// `error`.
    pub(crate) fn after(self, error: Option<&str>) -> String {
        match (self.explanation(), error.filter(|error| !error.is_empty())) {
            (Some(why), Some(error)) => format!("{why}; its last run failed: {error}"),
            (Some(why), None) => why.to_owned(),
            (None, Some(error)) => error.to_owned(),
            (None, None) => format!("the event was given up: {}", self.as_str()),
        }
    }
}

/// Decides the next step after a run that ended with `class` at `now_ms`; `retry_after` is the
/// function's requested delay, `jitter` a random number from 0 to 1.
pub(crate) fn next(class: Class, history: History, retry_after: Option<Duration>, now_ms: i64, jitter: f64) -> Next {
    let History { function_failures, system_failures, retries_max, expires_ms } = history;
    let wished = retry_after.map_or(0, |wish| i64::try_from(wish.as_millis()).unwrap_or(i64::MAX));
    let again = |pause_ms: i64, function_failures, system_failures| {
        let due_ms = now_ms.saturating_add(pause_ms.max(wished));
        if due_ms > expires_ms {
            return Next::Dead(Reason::Expired);
        }
        Next::Again { due_ms, function_failures, system_failures }
    };
    match class {
        Class::Success => Next::Finished,
        Class::Terminated => Next::Aborted,
        Class::Caller => Next::Dead(Reason::Refused),
        Class::Function if function_failures >= retries_max => Next::Dead(Reason::RetriesExhausted),
        Class::Function => again(PAUSE_MS, function_failures + 1, 0),
        Class::Quota => match now_ms.saturating_add(PAUSE_MS) {
            until_ms if until_ms > expires_ms => Next::Dead(Reason::Expired),
            until_ms => Next::Wait { until_ms },
        },
        Class::System => again(system_pause_ms(system_failures, jitter), function_failures, system_failures + 1),
    }
}

/// The same for an event whose failed runs are not repeated. Waiting for room is not a run.
pub(crate) fn next_of_one(class: Class, history: History, now_ms: i64) -> Next {
    match class {
        Class::Function | Class::System => Next::Dead(Reason::NotRepeated),
        other => next(other, history, None, now_ms, 1.0),
    }
}

/// Why an event does not run again after this many interruptions by the platform's end.
pub(crate) fn given_up(repeat: Repeat, recoveries: u32, recoveries_max: u32) -> Option<Reason> {
    match repeat {
        Repeat::Never if recoveries > 0 => Some(Reason::CutOff),
        _ if recoveries > recoveries_max => Some(Reason::Recoveries),
        _ => None,
    }
}

/// Whether a run that a stop of the platform cut off may have begun. System errors come from runs
/// that did not begin: runs in stopped instances fail as the function's.
pub(crate) fn may_have_run(class: Class) -> bool {
    matches!(class, Class::Function | Class::Terminated)
}

/// Exponential back-off with full jitter, at least half a second.
fn system_pause_ms(failures: u32, jitter: f64) -> i64 {
    let ceiling = SYSTEM_PAUSE_MS.saturating_mul(1 << failures.min(20)).min(SYSTEM_PAUSE_MS_MAX);
    ((ceiling as f64 * jitter) as i64).max(SYSTEM_PAUSE_MS / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;
    const FRESH: History =
        History { function_failures: 0, system_failures: 0, retries_max: 2, expires_ms: NOW + 21_600_000 };

    fn after(status: RunStatus, history: History) -> Next {
        next(class(status), history, None, NOW, 1.0)
    }

    #[test]
    fn a_run_that_fails_in_the_function_is_tried_retry_num_times_a_minute_apart() {
        let mut history = FRESH;
        for failures in 1..=2 {
            let Next::Again { due_ms, function_failures, .. } = after(RunStatus::UserCodeException, history) else {
                panic!("another run follows failure {failures}")
            };
            assert_eq!((due_ms, function_failures), (NOW + 60_000, failures));
            history.function_failures = function_failures;
        }
        assert_eq!(after(RunStatus::UserCodeException, history), Next::Dead(Reason::RetriesExhausted));
    }

    #[test]
    fn waiting_for_quota_is_not_an_attempt_and_ends_with_the_ttl() {
        assert_eq!(after(RunStatus::ResourceLimitReached, FRESH), Next::Wait { until_ms: NOW + 60_000 });
        let late = History { expires_ms: NOW + 59_999, ..FRESH };
        assert_eq!(after(RunStatus::ResourceLimitReached, late), Next::Dead(Reason::Expired));
    }

    #[test]
    fn failures_of_the_system_back_off_to_five_minutes() {
        let due = |system_failures| match after(RunStatus::InternalError, History { system_failures, ..FRESH }) {
            Next::Again { due_ms, .. } => due_ms - NOW,
            other => panic!("{other:?}"),
        };
        assert_eq!((due(0), due(1), due(3), due(9), due(60)), (1_000, 2_000, 8_000, 300_000, 300_000));
        let Next::Again { due_ms, .. } = next(Class::System, FRESH, None, NOW, 0.0) else { panic!("another run") };
        assert_eq!(due_ms, NOW + 500, "a draw of 0 does not hammer");
    }

    #[test]
    fn an_event_past_its_age_says_so_beside_the_error_of_its_last_run() {
        let late = History { expires_ms: NOW + 59_999, ..FRESH };
        assert_eq!(after(RunStatus::UserCodeException, late), Next::Dead(Reason::Expired));
        let said = Reason::Expired.after(Some("no such film"));
        assert!(said.contains("MsgTTL") && said.ends_with("its last run failed: no such film"), "{said}");
        assert!(!Reason::Expired.after(None).contains("last run"));
        assert_eq!(Reason::RetriesExhausted.after(Some("no such film")), "no such film");
    }

    #[test]
    fn what_the_caller_did_wrong_is_never_tried_again() {
        for status in [RunStatus::InvalidEvent, RunStatus::FunctionNotFound, RunStatus::QualifierNotFound] {
            assert_eq!(after(status, FRESH), Next::Dead(Reason::Refused));
        }
    }

    #[test]
    fn retry_after_is_heeded_where_it_is_longer_than_the_pause() {
        let due = |seconds| match next(Class::Function, FRESH, Some(Duration::from_secs(seconds)), NOW, 1.0) {
            Next::Again { due_ms, .. } => (due_ms - NOW) / 1000,
            other => panic!("{other:?}"),
        };
        assert_eq!((due(5), due(90), due(3600)), (60, 90, 3600));
        let endless = next(Class::Function, FRESH, Some(Duration::MAX), NOW, 1.0);
        assert_eq!(endless, Next::Dead(Reason::Expired), "it would outlast the event");
    }

    #[test]
    fn what_is_not_repeated_only_waits_for_room() {
        let after = |status| next_of_one(class(status), FRESH, NOW);
        for status in [RunStatus::UserProcessExited, RunStatus::TimeLimitReached, RunStatus::InternalError] {
            assert_eq!(after(status), Next::Dead(Reason::NotRepeated), "{status:?}");
        }
        assert_eq!(after(RunStatus::ResourceLimitReached), Next::Wait { until_ms: NOW + 60_000 });
        assert_eq!(after(RunStatus::Success), Next::Finished);
        assert_eq!(after(RunStatus::RequestCanceled), Next::Aborted);
    }

    #[test]
    fn a_terminated_run_is_not_tried_again() {
        assert_eq!(after(RunStatus::RequestCanceled, FRESH), Next::Aborted);
    }
}
