//! Formats times: RFC 3339 with milliseconds and the offset of the machine's time zone (`TZ`, or
//! `/etc/localtime`).

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Format of a time: `2026-11-28T08:15:00.250+01:00`.
const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.3f%:z";

/// Formats a Unix time in milliseconds in the machine's time zone, or in UTC if it has none.
pub fn rfc3339(unix_ms: i64) -> String {
    in_zone(unix_ms, TimeZone::system())
}

/// Like [`rfc3339`], without milliseconds.
pub fn rfc3339_s(unix_ms: i64) -> String {
    let text = rfc3339(unix_ms);
    match text.split_once('.') {
        // The rest has three digits and the offset.
        Some((seconds, rest)) => format!("{seconds}{}", &rest[3..]),
        None => text,
    }
}

/// Formats a time in a given zone. Times outside the calendar become its first or last day.
fn in_zone(unix_ms: i64, zone: TimeZone) -> String {
    // A margin of more than the largest offset, so that the zoned time stays in the calendar's
    // range.
    let day = jiff::SignedDuration::from_hours(26);
    let (first, last) = (Timestamp::MIN + day, Timestamp::MAX - day);
    let time = Timestamp::from_millisecond(unix_ms).unwrap_or(if unix_ms < 0 { first } else { last });
    time.clamp(first, last).to_zoned(zone).strftime(FORMAT).to_string()
}

#[cfg(test)]
mod tests {
    use jiff::tz::offset;

    use super::*;

    #[test]
    fn a_time_has_its_milliseconds_and_its_offset() {
        let table = [
            (1_551_113_065_250, 8, "2019-02-26T00:44:25.250+08:00"),
            (1_551_113_065_250, -3, "2019-02-25T13:44:25.250-03:00"),
            (0, 0, "1970-01-01T00:00:00.000+00:00"),
        ];
        for (unix_ms, hours, wanted) in table {
            assert_eq!(in_zone(unix_ms, TimeZone::fixed(offset(hours))), wanted);
        }
    }

    #[test]
    fn times_outside_the_calendar_are_clamped() {
        for hours in [-14, 14] {
            let zone = TimeZone::fixed(offset(hours));
            assert!(in_zone(i64::MAX, zone.clone()).starts_with("9999-12-"));
            assert!(in_zone(i64::MIN, zone).starts_with("-9999-01-"));
        }
    }
}
