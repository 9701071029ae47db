//! A time as an argument: relative to now, or absolute.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Hours per day; jiff's durations have no days.
const DAY_HOURS: i64 = 24;

/// A time, relative or absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Time before now.
    Ago(SignedDuration),
    /// Absolute time.
    At(Timestamp),
}

impl Moment {
    /// Converts to Unix milliseconds, relative to `now_ms`.
    pub fn unix_ms(self, now_ms: i64) -> i64 {
        match self {
            Self::Ago(duration) => now_ms.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
            Self::At(time) => time.as_millisecond(),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ago = days(text).or_else(|| text.parse().ok()).filter(|ago: &SignedDuration| !ago.is_negative());
        let at = || text.parse().ok().or_else(|| local(text, TimeZone::system()));
        ago.map(Self::Ago).or_else(|| at().map(Self::At)).ok_or_else(|| {
            "it is neither a time before now such as 10m, 1h30m or 2d, nor one such as 2026-11-28, 2026-11-28T08:15 or \
             2026-11-28T08:15:00Z"
                .to_owned()
        })
    }
}

/// Parses a date, or a date with a time of day, in this machine's zone; a date means its first
/// moment.
fn local(text: &str, zone: TimeZone) -> Option<Timestamp> {
    let time: DateTime = text.parse().ok()?;
    Some(time.to_zoned(zone).ok()?.timestamp())
}

/// Parses days of 24 hours.
fn days(text: &str) -> Option<SignedDuration> {
    let days: i64 = text.strip_suffix('d')?.parse().ok()?;
    Some(SignedDuration::from_hours(days.checked_mul(DAY_HOURS).filter(|hours| hours.abs() < 1 << 40)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_of_the_machines_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let table = [
            ("2019-02-26", "2019-02-25T16:00:00Z"),
            ("2019-02-26T00:44", "2019-02-25T16:44:00Z"),
            ("2019-02-26 00:44:25", "2019-02-25T16:44:25Z"),
        ];
        for (text, wanted) in table {
            assert_eq!(local(text, zone.clone()), wanted.parse().ok(), "{text}");
            assert!(text.parse::<Moment>().is_ok(), "{text}");
        }
        assert_eq!(local("2019-02-30", zone), None);
    }

    #[test]
    fn times_are_relative_or_absolute() {
        let now_ms = 1_551_113_065_250;
        let table = [
            ("10m", now_ms - 600_000),
            ("1h30m", now_ms - 5_400_000),
            ("1500ms", now_ms - 1_500),
            ("2d", now_ms - 2 * 86_400_000),
            ("2019-02-25T16:44:25Z", 1_551_113_065_000),
            ("2019-02-26T00:44:25.250+08:00", now_ms),
        ];
        for (text, wanted) in table {
            assert_eq!(text.parse::<Moment>().map(|moment| moment.unix_ms(now_ms)), Ok(wanted), "{text}");
        }
        for wrong in ["", "10", "-5m", "-1d", "yesterday", "2019-02-30", "99999999999999999d", "10m ago please"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
