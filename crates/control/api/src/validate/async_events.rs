//! Requests about asynchronous events.

use events::{InvokeType, RunState};
use types::limits::{EVENT_RETRIES_MAX, EVENT_TTL_S_MAX, EVENT_TTL_S_MIN};
use types::wire::{AsyncTriggerConfig, RetryConfig, TimeInterval};
use types::{ApiError, ErrorCode, EventInvokeConfig, RequestId};

use super::{filled, invalid, quoted};
use types::UtcOffset;

/// `InvokeRequestId`.
pub(crate) fn request_id(text: &str) -> Result<RequestId, ApiError> {
    // Stored ids are in lower case, and lookups compare exactly.
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

/// `Orderby`: true for the end time, false for the start time.
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

/// A time interval in Unix milliseconds; the end is excluded.
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

/// An update of a function's retries and maximum event age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConfigChange {
    retries_max: Option<u32>,
    ttl_s: Option<u32>,
}

impl ConfigChange {
    /// Omitted fields are unchanged.
    pub(crate) fn applied_to(self, config: EventInvokeConfig) -> EventInvokeConfig {
        let Self { retries_max, ttl_s } = self;
        EventInvokeConfig {
            retries_max: retries_max.unwrap_or(config.retries_max),
            ttl_s: ttl_s.unwrap_or(config.ttl_s),
        }
    }
}

/// `AsyncTriggerConfig`.
pub(crate) fn config(given: &AsyncTriggerConfig) -> Result<ConfigChange, ApiError> {
    const FIELD: &str = "AsyncTriggerConfig";
    let wrong = |problem: &str| invalid(ErrorCode::INVALID_VALUE_ASYNC_TRIGGER_CONFIG, FIELD, problem);
    let retries = match given.retry_config.as_deref() {
        None => None,
        Some([RetryConfig { retry_num: Some(retries) }]) => Some(*retries),
        Some([_]) => return Err(wrong("RetryConfig has no RetryNum")),
        Some(_) => return Err(wrong("RetryConfig is a list of one object with RetryNum")),
    };
    if retries.is_none() && given.msg_ttl.is_none() {
        return Err(wrong("it has neither RetryConfig nor MsgTTL"));
    }
    let within = |name: &str, code: ErrorCode, value: Option<i64>, min: u32, max: u32| {
        let Some(value) = value else { return Ok(None) };
        match u32::try_from(value).ok().filter(|value| (min..=max).contains(value)) {
            Some(value) => Ok(Some(value)),
            None => {
                Err(invalid(code, &format!("{FIELD}.{name}"), format!("{value} is not allowed; use {min} to {max}")))
            }
        }
    };
    Ok(ConfigChange {
        retries_max: within("RetryConfig.RetryNum", ErrorCode::LIMIT_RETRY_NUM, retries, 0, EVENT_RETRIES_MAX)?,
        ttl_s: within("MsgTTL", ErrorCode::LIMIT_MSG_TTL, given.msg_ttl, EVENT_TTL_S_MIN, EVENT_TTL_S_MAX)?,
    })
}

/// `AsyncTriggerConfig` in answers.
pub(crate) fn shown_config(config: EventInvokeConfig) -> AsyncTriggerConfig {
    AsyncTriggerConfig {
        retry_config: Some(vec![RetryConfig { retry_num: Some(config.retries_max.into()) }]),
        msg_ttl: Some(config.ttl_s.into()),
    }
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
    fn retries_and_age_are_within_the_contracts_limits() {
        let config = |retries: Option<Vec<Option<i64>>>, msg_ttl| {
            let retry_config =
                retries.map(|all| all.into_iter().map(|retry_num| RetryConfig { retry_num }).collect::<Vec<_>>());
            super::config(&AsyncTriggerConfig { retry_config, msg_ttl }).map_err(|error| error.code.name)
        };
        let change = |retries_max, ttl_s| Ok(ConfigChange { retries_max, ttl_s });
        let (retry_num, msg_ttl) = (Err("LimitExceeded.RetryNum"), Err("LimitExceeded.MsgTTL"));
        let malformed = Err("InvalidParameterValue.AsyncTriggerConfig");
        for (retries, ttl_s, want) in [
            (Some(vec![Some(0)]), Some(60), change(Some(0), Some(60))),
            (Some(vec![Some(2)]), Some(21_600), change(Some(2), Some(21_600))),
            (Some(vec![Some(1)]), None, change(Some(1), None)),
            (None, Some(600), change(None, Some(600))),
            (Some(vec![Some(3)]), None, retry_num),
            (Some(vec![Some(-1)]), None, retry_num),
            (Some(vec![Some(i64::MAX)]), None, retry_num),
            (None, Some(59), msg_ttl),
            (None, Some(21_601), msg_ttl),
            (None, Some(-60), msg_ttl),
            (None, None, malformed),
            (Some(vec![]), Some(60), malformed),
            (Some(vec![None]), Some(60), malformed),
            (Some(vec![Some(1), Some(2)]), Some(60), malformed),
        ] {
            assert_eq!(config(retries.clone(), ttl_s), want, "{retries:?} {ttl_s:?}");
        }
        let kept = ConfigChange { retries_max: Some(0), ttl_s: None }.applied_to(EventInvokeConfig::default());
        assert_eq!((kept.retries_max, kept.ttl_s), (0, 21_600));
    }

    #[test]
    fn words_are_those_of_the_contract() {
        assert_eq!(states(&["RUNNING".to_owned(), "ABORTED".to_owned()]).map(|all| all.len()), Ok(2));
        let error = states(&["Done".to_owned()]).expect_err("no state");
        assert_eq!(error.message, "Status: \"Done\" is none of RUNNING, FINISHED, ABORTED, FAILED");
        assert_eq!(invoke_types(&["COS".to_owned()]), Ok(vec![InvokeType::Cos]));
    }
}
