//! Policy of retries. Pure.

use std::time::Duration;

use crate::Config;

/// Retries of connections that are refused or cannot be resolved: enough for a restart, little for
/// a wrong name.
const CONNECT_RETRIES_MAX: u32 = 2;

/// Number of retries and pauses between them.
#[derive(Debug, Clone)]
pub(crate) struct RetryPolicy {
    retries_max: u32,
    pause: Duration,
    pause_max: Duration,
    retry_after_max: Duration,
}

/// Failures by how they are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection.
    Connect,
    /// A broken connection, or a status that may change.
    Transient { retry_after: Option<Duration> },
    /// Not retried.
    Final,
}

impl RetryPolicy {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            retries_max: config.retries_max,
            pause: Duration::from_millis(config.retry_pause_ms),
            pause_max: Duration::from_millis(config.retry_pause_ms_max),
            retry_after_max: Duration::from_secs(config.retry_after_s_max),
        }
    }

    /// The pause before the next attempt after `tried` retries; `None` after the last one, or if
    /// `Retry-After` is above its limit.
    pub(crate) fn pause(&self, failure: Failure, tried: u32) -> Option<Duration> {
        let (retries_max, asked) = match failure {
            Failure::Connect => (self.retries_max.min(CONNECT_RETRIES_MAX), None),
            Failure::Transient { retry_after } => (self.retries_max, retry_after),
            Failure::Final => return None,
        };
        if tried >= retries_max || asked.is_some_and(|asked| asked > self.retry_after_max) {
            return None;
        }
        let doubled = self.pause.saturating_mul(2u32.saturating_pow(tried)).min(self.pause_max);
        Some(asked.map_or(doubled, |asked| asked.max(doubled)))
    }
}

/// Statuses that are retried (RFC 9110, and what registries and their proxies send under load).
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// `Retry-After`: seconds, or a date.
pub(crate) fn retry_after(header: &str, now: jiff::Timestamp) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(header.trim()).ok()?;
    Some(Duration::try_from(date.timestamp().duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            retries_max: 4,
            pause: Duration::from_millis(100),
            pause_max: Duration::from_millis(500),
            retry_after_max: Duration::from_secs(60),
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let transient = Failure::Transient { retry_after: None };
        let pauses: Vec<_> = (0..5).map(|tried| policy().pause(transient, tried).map(|p| p.as_millis())).collect();
        assert_eq!(pauses, [Some(100), Some(200), Some(400), Some(500), None]);
        assert_eq!(policy().pause(Failure::Final, 0), None);
        assert_eq!(policy().pause(Failure::Connect, 2), None);
    }

    #[test]
    fn a_registry_may_ask_for_a_longer_pause_within_bounds() {
        let asked = |ms| Failure::Transient { retry_after: Some(Duration::from_millis(ms)) };
        assert_eq!(policy().pause(asked(300), 0), Some(Duration::from_millis(300)));
        assert_eq!(policy().pause(asked(60_000), 0), Some(Duration::from_secs(60)));
        assert_eq!(policy().pause(asked(60_001), 0), None);
        assert_eq!(policy().pause(asked(0), 1), Some(Duration::from_millis(200)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: jiff::Timestamp = "2015-10-21T07:27:00Z".parse().expect("valid");
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:20:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
