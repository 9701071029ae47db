//! The clock window within which a signature is valid. Pure.

use jiff::Timestamp;

use crate::Rejection;

/// The server's time and the allowed difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Unix time of the server, in seconds.
    pub now_s: i64,
    /// Largest difference to either side, in seconds.
    pub window_s: u64,
}

impl Clock {
    /// Refuses a signature made outside the window.
    pub(crate) fn check(&self, timestamp_s: i64) -> Result<(), Rejection> {
        if self.now_s.abs_diff(timestamp_s) <= self.window_s {
            return Ok(());
        }
        Err(Rejection::Expired { timestamp_s, now_s: self.now_s, window_s: self.window_s })
    }
}

/// The UTC date of a Unix time, such as `2019-02-25`; `None` for times outside the calendar.
pub(crate) fn utc_date(timestamp_s: i64) -> Option<String> {
    Some(Timestamp::from_second(timestamp_s).ok()?.strftime("%Y-%m-%d").to_string())
}

/// Reads a Unix time in seconds, digits only.
pub(crate) fn parse_timestamp(name: &str, text: &str) -> Result<i64, Rejection> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number
        .ok_or_else(|| Rejection::Malformed(format!("{name} {:?} is not a Unix time in seconds", crate::quoted(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_within_five_minutes_are_valid() {
        let clock = Clock { now_s: 1_551_113_065, window_s: 300 };
        for inside in [0, 300, -300] {
            assert_eq!(clock.check(clock.now_s + inside), Ok(()), "{inside}");
        }
        for outside in [301, -301, -clock.now_s, i64::MAX - clock.now_s] {
            let rejection = clock.check(clock.now_s + outside).expect_err("outside the window");
            assert_eq!(rejection.code().name, "AuthFailure.SignatureExpire", "{outside}");
        }
        assert!(clock.check(i64::MIN).is_err());
    }

    #[test]
    fn dates_are_in_utc() {
        assert_eq!(utc_date(1_551_113_065).as_deref(), Some("2019-02-25"));
        assert_eq!(utc_date(0).as_deref(), Some("1970-01-01"));
        assert_eq!(utc_date(i64::MAX), None);
    }

    #[test]
    fn a_timestamp_consists_of_digits() {
        assert_eq!(parse_timestamp("X", "1551113065"), Ok(1_551_113_065));
        for bad in ["", "+1", "-1", " 1", "1.5", "1e3", "99999999999999999999"] {
            assert!(parse_timestamp("X", bad).is_err(), "{bad}");
        }
    }
}
