//! Reports events that were refused for lack of room in the log, at most once a minute: callers get
//! the error, but timers and polled sources have none.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

/// Minimum time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Refused events since the last report.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    reported: Option<Instant>,
    unreported: u64,
}

impl Refusals {
    /// Counts a failed acceptance where the cause is a lack of room, and reports it if it is time.
    pub fn note(&self, error: &Error) {
        if !matches!(error, Error::Full { .. } | Error::DiskNearlyFull { .. } | Error::DiskFull) {
            return;
        }
        metrics::counter!("sampan_events_refused_total").increment(1);
        if let Some(refused) = self.due(Instant::now()) {
            tracing::warn!(refused, %error, "refused events for lack of room in the queue");
        }
    }

    /// The number of events to report at `now`, if a report is due.
    fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unreported += 1;
        if state.reported.is_some_and(|last| now.saturating_duration_since(last) < REPORT_INTERVAL) {
            return None;
        }
        state.reported = Some(now);
        Some(std::mem::take(&mut state.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refusal_is_reported_and_then_one_a_minute_with_their_number() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let due = |after_s| refusals.due(start + Duration::from_secs(after_s));
        assert_eq!([due(0), due(1), due(59)], [Some(1), None, None]);
        assert_eq!([due(60), due(61), due(200)], [Some(3), None, Some(2)]);
    }
}
