//! Tags that select behaviour without a field in the API. Tags belong to a function and are set at
//! its creation.

use crate::limits::{STOP_GRACE_S_MAX, TEMPORARY_S_MAX};

/// Seconds of an instance's stop grace.
pub const STOP_GRACE: &str = "sampan:stop-grace";

/// `on` runs the image's program as the child of an init; `off` is the default.
pub const INIT: &str = "sampan:init";

/// `off` disables the start check: a new image or configuration serves before an instance of it has
/// started.
pub const START_CHECK: &str = "sampan:start-check";

/// OCI runtime of a function's instances, by its name in `[launcher]`.
pub const RUNTIME: &str = "sampan:runtime";

/// `on` runs an event of a function created with `AsyncRunEnable` again after the platform aborted
/// its run.
pub const RERUN: &str = "sampan:rerun";

/// Seconds without a waiting or running event after which the platform deletes the function.
pub const TEMPORARY: &str = "sampan:temporary";

/// A platform tag with an invalid value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tag {tag} has the value {value:?}, which is not {expected}")]
pub struct InvalidTag {
    /// The tag.
    pub tag: &'static str,
    /// Its value.
    pub value: String,
    /// Allowed values.
    pub expected: String,
}

/// Stop grace of a function's instances in seconds, if the function sets one.
pub fn stop_grace_s(tags: &[(String, String)]) -> Result<Option<u32>, InvalidTag> {
    let Some(value) = value(tags, STOP_GRACE) else { return Ok(None) };
    let seconds = value.parse().ok().filter(|seconds| *seconds <= STOP_GRACE_S_MAX);
    let expected = || format!("a number of seconds from 0 to {STOP_GRACE_S_MAX}");
    seconds.map(Some).ok_or_else(|| InvalidTag { tag: STOP_GRACE, value: value.to_owned(), expected: expected() })
}

/// Whether the start check is enabled.
pub fn start_check(tags: &[(String, String)]) -> Result<bool, InvalidTag> {
    Ok(switch(tags, START_CHECK)?.unwrap_or(true))
}

/// Whether instances have an init.
pub fn init(tags: &[(String, String)]) -> Result<bool, InvalidTag> {
    Ok(switch(tags, INIT)?.unwrap_or(false))
}

/// Whether an event runs again after the platform aborted its run.
pub fn rerun(tags: &[(String, String)]) -> Result<bool, InvalidTag> {
    Ok(switch(tags, RERUN)?.unwrap_or(false))
}

/// Seconds that a temporary function is kept without a waiting or running event.
pub fn temporary_s(tags: &[(String, String)]) -> Result<Option<u32>, InvalidTag> {
    let Some(value) = value(tags, TEMPORARY) else { return Ok(None) };
    let seconds = value.parse().ok().filter(|seconds| (1..=TEMPORARY_S_MAX).contains(seconds));
    let expected = || format!("a number of seconds from 1 to {TEMPORARY_S_MAX}");
    seconds.map(Some).ok_or_else(|| InvalidTag { tag: TEMPORARY, value: value.to_owned(), expected: expected() })
}

fn switch(tags: &[(String, String)], tag: &'static str) -> Result<Option<bool>, InvalidTag> {
    match value(tags, tag) {
        None => Ok(None),
        Some("off") => Ok(Some(false)),
        Some("on") => Ok(Some(true)),
        Some(other) => Err(InvalidTag { tag, value: other.to_owned(), expected: "on or off".to_owned() }),
    }
}

/// Refuses platform tags with invalid values.
pub fn check(tags: &[(String, String)]) -> Result<(), InvalidTag> {
    stop_grace_s(tags)?;
    init(tags)?;
    start_check(tags)?;
    rerun(tags)?;
    temporary_s(tags)?;
    Ok(())
}

fn value<'a>(tags: &'a [(String, String)], name: &str) -> Option<&'a str> {
    tags.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(key: &str, value: &str) -> Vec<(String, String)> {
        vec![("owner".to_owned(), "me".to_owned()), (key.to_owned(), value.to_owned())]
    }

    #[test]
    fn a_grace_is_a_number_of_seconds_within_the_limit() {
        assert_eq!(stop_grace_s(&[]), Ok(None));
        for (value, seconds) in [("0", 0), ("7", 7), ("30", 30)] {
            assert_eq!(stop_grace_s(&tags(STOP_GRACE, value)), Ok(Some(seconds)));
        }
        for value in ["", "31", "-1", "2s", "1.5"] {
            let error = stop_grace_s(&tags(STOP_GRACE, value)).expect_err(value).to_string();
            assert!(error.contains("sampan:stop-grace") && error.contains("from 0 to 30"), "{error}");
        }
    }

    #[test]
    fn a_start_is_checked_unless_that_is_off() {
        let checked = [&[][..], &tags(START_CHECK, "on"), &tags(START_CHECK, "off")].map(start_check);
        assert_eq!(checked, [Ok(true), Ok(true), Ok(false)]);
        assert!(check(&tags(START_CHECK, "no")).is_err());
    }

    #[test]
    fn a_temporary_function_stays_for_a_day_at_most() {
        let seconds = ["1", "86400"].map(|value| temporary_s(&tags(TEMPORARY, value)));
        assert_eq!(seconds, [Ok(Some(1)), Ok(Some(86_400))]);
        assert!(["0", "86401", "x"].iter().all(|value| check(&tags(TEMPORARY, value)).is_err()));
        assert_eq!([rerun(&[]), rerun(&tags(RERUN, "on"))], [Ok(false), Ok(true)]);
        assert!(check(&tags(RERUN, "yes")).is_err());
    }

    #[test]
    fn an_init_is_on_or_off() {
        assert_eq!([init(&[]), init(&tags(INIT, "off")), init(&tags(INIT, "on"))], [Ok(false), Ok(false), Ok(true)]);
        assert!(check(&tags(INIT, "yes")).expect_err("neither").to_string().contains("on or off"));
        assert!(check(&tags(STOP_GRACE, "x")).is_err() && check(&tags("sampan:runtime", "x")).is_ok());
    }
}
