//! What is asked of asynchronous events.

use events::{InvokeType, RunState};
use types::wire::TimeInterval;
use types::{ApiError, ErrorCode, RequestId};

use super::{filled, invalid, quoted};
use types::UtcOffset;

/// `InvokeRequestId`.
pub(crate) fn request_id(text: &str) -> Result<RequestId, ApiError> {
    // Ids are looked up as they are written, in lower case.
    text.to_ascii_lowercase().parse().map_err(|_| {
        let problem = format!("{} is not the id of an event, which is a UUID", quoted(text));
        invalid(ErrorCode::INVALID_VALUE, "InvokeRequestId", problem)
    })
}

/// `InvokeType`.
pub(crate) fn invoke_types(given: &[String]) -> Result<Vec<InvokeType>, ApiError> {
    given.iter().map(|text| one_of("InvokeType", text, InvokeType::ALL, InvokeType::as_str)).collect()
}

/// `Status`.
pub(crate) fn states(given: &[String]) -> Result<Vec<RunState>, ApiError> {
    given.iter().map(|text| one_of("Status", text, RunState::ALL, RunState::as_str)).collect()
}

fn one_of<T: Copy, const N: usize>(
    field: &str,
    text: &str,
    all: [T; N],
    name: impl Fn(T) -> &'static str,
) -> Result<T, ApiError> {
    all.into_iter().find(|value| name(*value) == text).ok_or_else(|| {
        let known = all.map(&name).join(", ");
        invalid(ErrorCode::INVALID_VALUE, field, format!("{} is none of {known}", quoted(text)))
    })
}

/// `Orderby`: whether by end instead of start.
pub(crate) fn by_end(given: Option<&str>) -> Result<bool, ApiError> {
    match filled(given) {
        None | Some("StartTime") => Ok(false),
        Some("EndTime") => Ok(true),
        Some(other) => {
            let problem = format!("{} is neither StartTime nor EndTime", quoted(other));
            Err(invalid(ErrorCode::INVALID_VALUE_ORDER_BY, "Orderby", problem))
        }
    }
}

/// A time interval in Unix milliseconds, its end excluded.
pub(crate) fn interval(
    field: &str,
    given: Option<&TimeInterval>,
    offset: UtcOffset,
) -> Result<Option<(i64, i64)>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    let read = |end: &str, text: Option<&str>, open: i64| {
        let Some(text) = filled(text) else { return Ok(open) };
        offset.parse_time(text).ok_or_else(|| {
            let problem = format!("{} is not a time; write YYYY-MM-DD HH:MM:SS, local time {offset}", quoted(text));
            invalid(ErrorCode::INVALID_VALUE_DATE_TIME, &format!("{field}.{end}"), problem)
        })
    };
    let interval = (read("Start", given.start.as_deref(), i64::MIN)?, read("End", given.end.as_deref(), i64::MAX)?);
    if interval.0 > interval.1 {
        let problem = "it ends before it begins";
        return Err(invalid(ErrorCode::INVALID_VALUE_START_OR_END_TIME, field, problem));
    }
    Ok(Some(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_may_be_open_and_must_not_be_backwards() {
        let interval = |start: Option<&str>, end: Option<&str>| {
            let given = TimeInterval { start: start.map(str::to_owned), end: end.map(str::to_owned) };
            super::interval("StartTimeInterval", Some(&given), UtcOffset::CHINA).map_err(|error| error.code.name)
        };
        assert_eq!(interval(None, None), Ok(Some((i64::MIN, i64::MAX))));
        let start = 1_551_113_065_000;
        assert_eq!(interval(Some("2019-02-26 00:44:25"), None), Ok(Some((start, i64::MAX))));
        let backwards = interval(Some("2019-02-26 00:44:25"), Some("2019-02-25 00:00:00"));
        assert_eq!(backwards, Err("InvalidParameterValue.StartTimeOrEndTime"));
        assert_eq!(interval(Some("yesterday"), None), Err("InvalidParameterValue.DateTime"));
    }

    #[test]
    fn words_are_those_of_the_contract() {
        assert_eq!(states(&["RUNNING".to_owned(), "ABORTED".to_owned()]).map(|all| all.len()), Ok(2));
        let error = states(&["Done".to_owned()]).expect_err("no state");
        assert_eq!(error.message, "Status: \"Done\" is none of RUNNING, FINISHED, ABORTED, FAILED");
        assert_eq!(invoke_types(&["COS".to_owned()]), Ok(vec![InvokeType::Cos]));
    }
}
