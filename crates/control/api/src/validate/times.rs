//! Time range of a search for runs.

use types::{ApiError, ErrorCode};

use super::{filled, invalid, quoted};
use types::UtcOffset;

/// Longest time range of one query, in milliseconds.
const SPAN_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// A time range with both ends included, in Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub start_ms: i64,
    pub end_ms: i64,
}

/// All times.
pub(crate) const EVER: Span = Span { start_ms: 0, end_ms: i64::MAX };

/// `StartTime` and `EndTime` of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GivenSpan {
    start_ms: Option<i64>,
    end_ms: Option<i64>,
}

/// Parses both times.
pub(crate) fn read(start: Option<&str>, end: Option<&str>, offset: UtcOffset) -> Result<GivenSpan, ApiError> {
    let read = |field: &str, given| {
        let Some(text) = filled(given) else { return Ok(None) };
        offset.parse_time(text).map(Some).ok_or_else(|| {
            let problem = format!("{} is not a time; write YYYY-MM-DD HH:MM:SS, local time {offset}", quoted(text));
            invalid(ErrorCode::INVALID_VALUE_DATE_TIME, field, problem)
        })
    };
    // A time stands for its whole second.
    let end_ms = read("EndTime", end)?.map(|ms| ms + 999);
    Ok(GivenSpan { start_ms: read("StartTime", start)?, end_ms })
}

impl GivenSpan {
    /// Whether neither time was given.
    pub(crate) fn is_open(self) -> bool {
        self.start_ms.is_none() && self.end_ms.is_none()
    }

    /// The range of a log query: at most a day. An omitted start or end is a day from the other;
    /// without both it is the last day.
    pub(crate) fn of_logs(self, now_ms: i64) -> Result<Span, ApiError> {
        let span = match (self.start_ms, self.end_ms) {
            (Some(start_ms), Some(end_ms)) => Span { start_ms, end_ms },
            (Some(start_ms), None) => Span { start_ms, end_ms: start_ms.saturating_add(SPAN_MS_MAX) },
            (None, end) => {
                let end_ms = end.unwrap_or(now_ms);
                Span { start_ms: end_ms.saturating_sub(SPAN_MS_MAX), end_ms }
            }
        };
        // The end covers its whole second, which does not count towards the day.
        if span.end_ms - span.start_ms > SPAN_MS_MAX + 999 {
            return Err(wrong("they are more than one day apart"));
        }
        span.checked()
    }

    /// The range of a query for one run; by default from `back_ms` ago until now.
    pub(crate) fn of_status(self, now_ms: i64, back_ms: i64) -> Result<Span, ApiError> {
        let end_ms = self.end_ms.unwrap_or(i64::MAX);
        let start_ms = self.start_ms.unwrap_or_else(|| now_ms.min(end_ms).saturating_sub(back_ms));
        Span { start_ms, end_ms }.checked()
    }
}

impl Span {
    fn checked(self) -> Result<Self, ApiError> {
        if self.end_ms < self.start_ms { Err(wrong("the end is before the start")) } else { Ok(self) }
    }
}

fn wrong(problem: &str) -> ApiError {
    invalid(ErrorCode::INVALID_VALUE_START_OR_END_TIME, "StartTime, EndTime", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_551_113_065_000;

    fn logs(start: Option<&str>, end: Option<&str>) -> Result<Span, &'static str> {
        read(start, end, UtcOffset::CHINA).and_then(|given| given.of_logs(NOW_MS)).map_err(|error| error.code.name)
    }

    #[test]
    fn a_question_about_logs_covers_a_day() {
        assert_eq!(logs(None, None), Ok(Span { start_ms: NOW_MS - SPAN_MS_MAX, end_ms: NOW_MS }));
        let both = logs(Some("2019-02-26 00:00:00"), Some("2019-02-27 00:00:00")).expect("a day");
        assert_eq!((both.start_ms, both.end_ms), (1_551_110_400_000, 1_551_196_800_999));
        let from = logs(Some("2019-02-26 00:00:00"), None).expect("a day");
        assert_eq!(from.end_ms - from.start_ms, SPAN_MS_MAX);
        let until = logs(None, Some("2019-02-26 00:00:00")).expect("a day");
        assert_eq!(until.end_ms - until.start_ms, SPAN_MS_MAX);
    }

    #[test]
    fn wrong_times_have_their_codes() {
        assert_eq!(logs(Some("yesterday"), None), Err("InvalidParameterValue.DateTime"));
        assert_eq!(
            logs(Some("2019-02-26 00:00:00"), Some("2019-02-27 00:00:01")),
            Err("InvalidParameterValue.StartTimeOrEndTime")
        );
        assert_eq!(
            logs(Some("2019-02-26 00:00:00"), Some("2019-02-25 00:00:00")),
            Err("InvalidParameterValue.StartTimeOrEndTime")
        );
    }

    #[test]
    fn a_question_about_a_run_looks_back() {
        let given = read(None, None, UtcOffset::CHINA).expect("nothing to read");
        assert!(given.is_open());
        assert_eq!(given.of_status(NOW_MS, 900_000), Ok(Span { start_ms: NOW_MS - 900_000, end_ms: i64::MAX }));
        let early = read(None, Some("2019-02-20 00:00:00"), UtcOffset::CHINA).expect("a time");
        assert!(early.of_status(NOW_MS, 900_000).is_ok());
    }
}
