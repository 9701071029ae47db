//! `SessionConfig`: where a web function's requests have their session key, and how long sessions
//! last.

use types::wire::SessionConfig;
use types::{ApiError, ErrorCode, SessionSource, SessionSpec};

use super::{filled, invalid, quoted, required};

/// Length of a session source's name, in characters (contract 3).
const NAME_CHARS: std::ops::RangeInclusive<usize> = 5..=40;
/// Most sessions of one instance.
const PER_INSTANCE_MAX: u64 = 100;
/// Default number of sessions of one instance.
const PER_INSTANCE: u64 = 1;
/// Longest lifetime of a session, in seconds: a day.
const TTL_S_MAX: u64 = 86_400;
/// Default lifetime of a session, in seconds.
const TTL_S: u64 = 21_600;
/// Default idle time of a session, in seconds.
const IDLE_S: u64 = 1800;

/// Converts the API's session configuration.
pub(super) fn spec(config: Option<&SessionConfig>) -> Result<SessionSpec, ApiError> {
    let field = |name: &str| format!("InstanceConcurrencyConfig.SessionConfig.{name}");
    let wrong =
        |name: &str, problem: String| Err(invalid(ErrorCode::INVALID_VALUE_CONCURRENCY_CONFIG, &field(name), problem));
    let config = required("InstanceConcurrencyConfig.SessionConfig", config)?;
    let source = match required(&field("SessionSource"), filled(config.session_source.as_deref()))? {
        "HEADER" => SessionSource::Header,
        "COOKIE" => SessionSource::Cookie,
        "QUERY_STRING" => SessionSource::Query,
        other => {
            let problem = format!("{} is not allowed; use HEADER, COOKIE or QUERY_STRING", quoted(other));
            return wrong("SessionSource", problem);
        }
    };
    let name = required(&field("SessionName"), filled(config.session_name.as_deref()))?;
    if !is_name(name) {
        let problem = format!(
            "{} is not allowed; use {} to {} letters, digits, - and _, a letter first",
            quoted(name),
            NAME_CHARS.start(),
            NAME_CHARS.end()
        );
        return wrong("SessionName", problem);
    }
    if filled(config.session_path.as_deref()).is_some() {
        return wrong("SessionPath", "sessions of a part of the paths are not supported; leave it out".to_owned());
    }
    let idle_pauses = match filled(config.idle_timeout_strategy.as_deref()) {
        None | Some("FATAL") => false,
        Some("PAUSE") => true,
        Some(other) => {
            let problem = format!("{} is not allowed; use FATAL or PAUSE", quoted(other));
            return wrong("IdleTimeoutStrategy", problem);
        }
    };
    let number = |name: &str, given: Option<u64>, default: u64, max: u64| {
        let given = given.unwrap_or(default);
        let fits = u32::try_from(given).ok().filter(|number| (1..=max).contains(&u64::from(*number)));
        fits.ok_or_else(|| {
            let problem = format!("{given} is not allowed; use 1 to {max}");
            invalid(ErrorCode::INVALID_VALUE_CONCURRENCY_CONFIG, &field(name), problem)
        })
    };
    let per_instance = config.maximum_concurrency_session_per_instance;
    let ttl_s_max = number("MaximumTTLInSeconds", config.maximum_ttl_in_seconds, TTL_S, TTL_S_MAX)?;
    Ok(SessionSpec {
        source,
        name: name.to_owned(),
        per_instance_max: number("MaximumConcurrencySessionPerInstance", per_instance, PER_INSTANCE, PER_INSTANCE_MAX)?,
        ttl_s_max,
        idle_s_max: number("MaximumIdleTimeInSeconds", config.maximum_idle_time_in_seconds, IDLE_S, TTL_S_MAX)?,
        idle_pauses,
    })
}

fn is_name(text: &str) -> bool {
    NAME_CHARS.contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SessionConfig {
        SessionConfig {
            session_source: Some("COOKIE".to_owned()),
            session_name: Some("sid_1".to_owned()),
            ..SessionConfig::default()
        }
    }

    fn refused(config: &SessionConfig) -> String {
        spec(Some(config)).expect_err("not allowed").to_string()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let given = spec(Some(&config())).expect("valid");
        assert_eq!((given.source, given.name.as_str()), (SessionSource::Cookie, "sid_1"));
        assert_eq!((given.per_instance_max, given.ttl_s_max, given.idle_s_max), (1, 21_600, 1800));
        assert!(!given.idle_pauses);
    }

    #[test]
    fn names_have_five_to_forty_characters_and_begin_with_a_letter() {
        for bad in ["sid1", "1session", "sess ion", "s\u{e9}ssion", &"x".repeat(41)] {
            let named = SessionConfig { session_name: Some((*bad).to_owned()), ..config() };
            assert!(refused(&named).contains("SessionName"), "{bad}");
        }
        let longest = SessionConfig { session_name: Some("x".repeat(40)), ..config() };
        assert!(spec(Some(&longest)).is_ok());
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_name() {
        let source = SessionConfig { session_source: Some("BODY".to_owned()), ..config() };
        assert!(refused(&source).contains("SessionSource"));
        let path = SessionConfig { session_path: Some("/a".to_owned()), ..config() };
        assert!(refused(&path).contains("SessionPath"));
        let idle = SessionConfig { maximum_idle_time_in_seconds: Some(0), ..config() };
        assert!(refused(&idle).contains("MaximumIdleTimeInSeconds"));
        let many = SessionConfig { maximum_concurrency_session_per_instance: Some(101), ..config() };
        assert!(refused(&many).contains("MaximumConcurrencySessionPerInstance"));
        assert_eq!(spec(None).expect_err("missing").code.name, "MissingParameter");
    }
}
