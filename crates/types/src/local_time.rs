//! Time format of the API: `YYYY-MM-DD HH:MM:SS` in the region's local time.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// Output format.
const FORMAT: &str = "%Y-%m-%d %H:%M:%S";
/// Input format: also accepts microseconds, which answers about events have.
const FORMAT_READ: &str = "%Y-%m-%d %H:%M:%S%.f";
/// Largest UTC offset in use, +14:00, in minutes.
const OFFSET_MIN_MAX: i16 = 14 * 60;

/// Offset of local times from UTC, such as `+08:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UtcOffset {
    minutes: i16,
}

/// A text that is not an offset from UTC.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no offset from UTC; write it as +08:00, from -14:00 to +14:00")]
pub struct InvalidUtcOffset {
    text: String,
}

impl UtcOffset {
    /// `+08:00`, the time of the cloud's mainland regions.
    pub const CHINA: Self = Self { minutes: 8 * 60 };

    /// Seconds ahead of UTC.
    pub fn seconds(self) -> i32 {
        i32::from(self.minutes) * 60
    }

    fn offset(self) -> Offset {
        Offset::from_seconds(self.seconds()).expect("an offset of up to 14 hours is one of jiff's")
    }

    /// Formats a Unix time in milliseconds; times outside the calendar are clamped.
    pub fn format(self, unix_ms: i64) -> String {
        // A day's margin, so that no offset leads out of the calendar.
        let day = jiff::SignedDuration::from_hours(24);
        let (first, last) = (Timestamp::MIN + day, Timestamp::MAX - day);
        let time = Timestamp::from_millisecond(unix_ms).unwrap_or(if unix_ms < 0 { first } else { last });
        self.offset().to_datetime(time.clamp(first, last)).strftime(FORMAT).to_string()
    }

    /// The same with microseconds, as in states of events.
    pub fn format_micros(self, unix_ms: i64) -> String {
        format!("{}.{:03}000", self.format(unix_ms), unix_ms.rem_euclid(1000))
    }

    /// Parses a local time to Unix milliseconds, with or without a fraction of the second; `None`
    /// if invalid. The last hours of the year 9999, which clients use for intervals without an end,
    /// exceed the last representable instant and are clamped to it.
    pub fn parse_time(self, text: &str) -> Option<i64> {
        let local = DateTime::strptime(FORMAT_READ, text).ok()?;
        Some(self.offset().to_timestamp(local).unwrap_or(Timestamp::MAX).as_millisecond())
    }
}

impl fmt::Display for UtcOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        let minutes = self.minutes.abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl FromStr for UtcOffset {
    type Err = InvalidUtcOffset;

    fn from_str(text: &str) -> Result<Self, InvalidUtcOffset> {
        parse_minutes(text)
            .filter(|minutes| minutes.abs() <= OFFSET_MIN_MAX)
            .map(|minutes| Self { minutes })
            .ok_or_else(|| InvalidUtcOffset { text: text.chars().take(20).collect() })
    }
}

fn parse_minutes(text: &str) -> Option<i16> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let two_digits = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<i16>().ok()).flatten()
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes).filter(|minutes| *minutes < 60)?);
    Some(sign * (hours * 60 + minutes))
}

impl TryFrom<String> for UtcOffset {
    type Error = InvalidUtcOffset;

    fn try_from(text: String) -> Result<Self, InvalidUtcOffset> {
        text.parse()
    }
}

impl From<UtcOffset> for String {
    fn from(offset: UtcOffset) -> String {
        offset.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_local() {
        assert_eq!(UtcOffset::CHINA.format(1_551_113_065_999), "2019-02-26 00:44:25");
        assert_eq!("-03:30".parse::<UtcOffset>().expect("valid").format(0), "1969-12-31 20:30:00");
        assert_eq!(UtcOffset::CHINA.parse_time("2019-02-26 00:44:25"), Some(1_551_113_065_000));
        let with_micros = UtcOffset::CHINA.format_micros(1_551_113_065_123);
        assert_eq!(with_micros, "2019-02-26 00:44:25.123000");
        // The end of an open interval.
        let last = Timestamp::MAX.as_millisecond();
        assert_eq!(UtcOffset::CHINA.parse_time("9999-12-31 23:59:59"), Some(last));
        assert!(UtcOffset::CHINA.parse_time("9999-12-30 00:00:00") < Some(last));
        assert_eq!(UtcOffset::CHINA.parse_time(&with_micros), Some(1_551_113_065_123));
        for bad in ["", "2019-02-26", "2019-02-26T00:44:25", "2019-02-30 00:00:00", "2019-02-26 25:00:00", "now"] {
            assert_eq!(UtcOffset::CHINA.parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn offsets_are_read_and_written() {
        for good in ["+00:00", "+08:00", "-05:45", "+14:00", "-14:00"] {
            assert_eq!(good.parse::<UtcOffset>().expect(good).to_string(), good);
        }
        for bad in ["", "08:00", "+8:00", "+08", "+08:60", "+14:01", "+0800", "+-8:00", "+é8:00"] {
            assert!(bad.parse::<UtcOffset>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(seconds in -60_000_000_000i64..250_000_000_000, minutes in -840i16..=840) {
            let offset = UtcOffset { minutes };
            prop_assert_eq!(offset.parse_time(&offset.format(seconds * 1000)), Some(seconds * 1000));
        }

        #[test]
        fn nothing_panics(unix_ms in any::<i64>(), text in "\\PC{0,30}", minutes in -840i16..=840) {
            let offset = UtcOffset { minutes };
            let _ = (offset.format(unix_ms), offset.parse_time(&text), text.parse::<UtcOffset>());
        }
    }
}
