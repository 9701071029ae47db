//! Single numbers and strings of a function's configuration.

use types::limits::{
    ASYNC_RUN_TIMEOUT_S_MAX, DESCRIPTION_LEN_MAX, INIT_TIMEOUT_S_MAX, MEMORY_MB_MIN, MEMORY_MB_STEP, TIMEOUT_S_MAX,
    VERSION_NUMBER_MAX,
};
use types::{ApiError, Bounds, ErrorCode};

use super::{filled, invalid, quoted};

/// `MemorySize` in MB.
pub(crate) fn memory_mb(given: i64, bounds: &Bounds) -> Result<u32, ApiError> {
    let (smallest, step, largest) = (i64::from(MEMORY_MB_MIN), i64::from(MEMORY_MB_STEP), i64::from(bounds.memory_mb));
    let setting = bounds.memory_setting;
    let allowed =
        format!("{given} MB is not allowed; use {smallest}, or {step} to {largest} ({setting}) in steps of {step}");
    if given > largest {
        return Err(invalid(ErrorCode::LIMIT_MEMORY, "MemorySize", allowed));
    }
    if given == smallest || (given >= step && given % step == 0) {
        return Ok(u32::try_from(given).expect("it is within the limits"));
    }
    Err(invalid(ErrorCode::INVALID_VALUE_MEMORY_SIZE, "MemorySize", allowed))
}

/// `Timeout` in seconds; the maximum depends on `AsyncRunEnable`.
pub(crate) fn timeout_s(given: i64, async_run: bool) -> Result<u32, ApiError> {
    let max = if async_run { ASYNC_RUN_TIMEOUT_S_MAX } else { TIMEOUT_S_MAX };
    let refused = |error: ApiError| match async_run {
        true => error,
        false => ApiError::new(
            error.code,
            format!(
                "{}, or up to {ASYNC_RUN_TIMEOUT_S_MAX} in a function made with AsyncRunEnable (`sampan deploy \
                 --async-run`)",
                error.message
            ),
        ),
    };
    seconds("Timeout", given, max, ErrorCode::LIMIT_TIMEOUT).map_err(refused)
}

/// `InitTimeout` in seconds.
pub(crate) fn init_timeout_s(given: i64) -> Result<u32, ApiError> {
    seconds("InitTimeout", given, INIT_TIMEOUT_S_MAX, ErrorCode::LIMIT_INIT_TIMEOUT)
}

fn seconds(field: &str, given: i64, max: u32, code: ErrorCode) -> Result<u32, ApiError> {
    let value = u32::try_from(given).ok().filter(|value| (1..=max).contains(value));
    value.ok_or_else(|| invalid(code, field, format!("{given} s is not allowed; use 1 to {max}")))
}

/// `Description`.
pub(crate) fn description(given: &str) -> Result<String, ApiError> {
    let len = given.chars().count();
    if len > DESCRIPTION_LEN_MAX {
        let problem = format!("it has {len} characters; at most {DESCRIPTION_LEN_MAX} are allowed");
        return Err(invalid(ErrorCode::INVALID_VALUE_DESCRIPTION, "Description", problem));
    }
    Ok(given.to_owned())
}

/// The number of a version to publish.
pub(crate) fn version_number(given: &str) -> Result<u32, ApiError> {
    let number = given.parse().ok().filter(|number| (1..=VERSION_NUMBER_MAX).contains(number));
    number.filter(|_| !given.starts_with(['0', '+'])).ok_or_else(|| {
        let problem = format!("{} is no number from 1 to {VERSION_NUMBER_MAX}", quoted(given));
        invalid(ErrorCode::INVALID_VALUE, "FunctionVersion", problem)
    })
}

/// A switch, `TRUE` or `FALSE`; off by default.
pub(crate) fn switch(field: &str, given: Option<&str>, code: ErrorCode) -> Result<bool, ApiError> {
    match filled(given) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("TRUE") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("FALSE") => Ok(false),
        Some(text) => Err(invalid(code, field, format!("{} is neither TRUE nor FALSE", quoted(text)))),
    }
}

/// A field with one of these values.
pub(crate) fn one_of(field: &str, given: &str, words: &[&str], code: ErrorCode) -> Result<(), ApiError> {
    if words.contains(&given) {
        return Ok(());
    }
    Err(invalid(code, field, format!("{} is not allowed; use {}", quoted(given), words.join(" or "))))
}

/// `Publish`: whether the update is published as a version as soon as it is active.
pub(crate) fn publish(given: Option<&str>) -> Result<bool, ApiError> {
    switch("Publish", given, ErrorCode::INVALID_VALUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(result: Result<T, ApiError>) -> &'static str {
        result.map_or_else(|error| error.code.name, |_| "")
    }

    #[test]
    fn memory_is_64_or_a_multiple_of_128() {
        let contract = Bounds::default();
        for good in [64, 128, 256, 1536, 3072] {
            assert_eq!(memory_mb(good, &contract).map(i64::from), Ok(good));
        }
        for bad in [i64::MIN, -128, 0, 1, 63, 65, 127, 129, 3000] {
            assert_eq!(code(memory_mb(bad, &contract)), "InvalidParameterValue.MemorySize", "{bad}");
        }
        for over in [3073, 3200, i64::MAX] {
            assert_eq!(code(memory_mb(over, &contract)), "LimitExceeded.Memory", "{over}");
        }
        assert_eq!(
            memory_mb(100, &contract).expect_err("no multiple").message,
            "MemorySize: 100 MB is not allowed; use 64, or 128 to 3072 ([launcher] memory_mb_max) in steps of 128"
        );
    }

    #[test]
    fn memory_goes_as_far_as_the_operator_has_it() {
        let bounds = Bounds { memory_mb: 8_192, ..Bounds::default() };
        assert_eq!(memory_mb(8_192, &bounds), Ok(8_192));
        let error = memory_mb(8_320, &bounds).expect_err("too much").message;
        assert!(error.contains("128 to 8192 ([launcher] memory_mb_max)"), "{error}");
    }

    #[test]
    fn times_have_both_ends() {
        assert_eq!((timeout_s(1, false), timeout_s(900, false)), (Ok(1), Ok(900)));
        assert_eq!((init_timeout_s(1), init_timeout_s(300)), (Ok(1), Ok(300)));
        for bad in [i64::MIN, -1, 0, 901, i64::MAX] {
            assert_eq!(code(timeout_s(bad, false)), "LimitExceeded.Timeout", "{bad}");
        }
        assert_eq!(code(init_timeout_s(301)), "LimitExceeded.InitTimeout");
    }

    #[test]
    fn descriptions_are_counted_in_characters() {
        assert_eq!(code(description(&"你".repeat(1000))), "");
        assert_eq!(code(description(&"a".repeat(1001))), "InvalidParameterValue.Description");
    }

    #[test]
    fn switches_are_words() {
        let switch = |given| switch("TraceEnable", given, ErrorCode::INVALID_VALUE_TRACE_ENABLE);
        assert_eq!((switch(None), switch(Some("")), switch(Some("FALSE"))), (Ok(false), Ok(false), Ok(false)));
        assert_eq!((switch(Some("TRUE")), switch(Some("true"))), (Ok(true), Ok(true)));
        assert_eq!(code(switch(Some("yes"))), "InvalidParameterValue.TraceEnable");
    }

    #[test]
    fn publishing_is_asked_for_by_a_switch() {
        assert_eq!((publish(None), publish(Some("TRUE"))), (Ok(false), Ok(true)));
        assert_eq!(code(publish(Some("x"))), "InvalidParameterValue");
    }
}
