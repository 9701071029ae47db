//! Instants of local times, as cron(8) of Vixie has them where the clock is put forward or back.
//!
//! An expression whose minute and hour are numbers means times of the clock: one that is skipped
//! comes when the clock is put forward, one that is repeated comes the first time only. Every other
//! expression means intervals, and follows the clock as it is: skipped times do not come, repeated
//! ones come twice.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Schedule;

/// Most changes of a zone's clock that a search passes: two a year.
const CHANGES_MAX: usize = 400;
/// Most local times that a search passes over: the seconds of the longest repeated span.
const REPEATED_MAX: usize = 3 * 3600;
/// Minutes of the largest offset in use on Earth, +14:00.
const OFFSET_MIN_MAX: i32 = 14 * 60;

/// A time zone: an offset such as `+08:00`, or a name of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// A text that names no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no time zone; write an offset such as +08:00, or a name such as Europe/Berlin, which needs the \
     time zone database of this machine (package tzdata)"
)]
pub struct InvalidZone {
    name: String,
}

impl Zone {
    /// `+08:00`, the time of the cloud's mainland regions.
    pub fn china() -> Self {
        Self { name: "+08:00".to_owned(), zone: TimeZone::fixed(jiff::tz::offset(8)) }
    }

    /// The first instant of a schedule after `at_ms`, both in Unix milliseconds; `None` where none
    /// is left.
    pub fn next_after(&self, schedule: &Schedule, at_ms: i64) -> Option<i64> {
        let at = Timestamp::from_millisecond(at_ms).ok()?;
        let found = if schedule.is_fixed { self.next_fixed(schedule, at) } else { self.next_interval(schedule, at) };
        found.map(Timestamp::as_millisecond)
    }

    /// The last instant of a schedule that is not after `at_ms`; `None` where there was none.
    pub fn last_until(&self, schedule: &Schedule, at_ms: i64) -> Option<i64> {
        let at = Timestamp::from_millisecond(at_ms).ok()?;
        let found = if schedule.is_fixed { self.last_fixed(schedule, at) } else { self.last_interval(schedule, at) };
        found.map(Timestamp::as_millisecond)
    }

    fn next_fixed(&self, schedule: &Schedule, at: Timestamp) -> Option<Timestamp> {
        let mut local = self.zone.to_datetime(at);
        for _ in 0..REPEATED_MAX {
            local = schedule.cron.find_next_occurrence(&local, false).ok()?;
            let instant = self.instant(local)?;
            if instant > at {
                return Some(instant);
            }
        }
        None
    }

    fn last_fixed(&self, schedule: &Schedule, at: Timestamp) -> Option<Timestamp> {
        // While times are repeated, those that are still to be repeated have come already.
        let before = self.zone.preceding(just_after(at)?).next().and_then(|change| {
            let offset = self.zone.to_offset(change.timestamp().checked_sub(SignedDuration::from_nanos(1)).ok()?);
            (offset > change.offset()).then(|| offset.to_datetime(at))
        });
        let mut local = self.zone.to_datetime(at);
        if let Some(before) = before
            && self.instant(local)? < at
        {
            local = before;
        }
        local = schedule.cron.find_previous_occurrence(&local, true).ok()?;
        for _ in 0..REPEATED_MAX {
            let instant = self.instant(local)?;
            if instant <= at {
                return Some(instant);
            }
            local = schedule.cron.find_previous_occurrence(&local, false).ok()?;
        }
        None
    }

    fn next_interval(&self, schedule: &Schedule, at: Timestamp) -> Option<Timestamp> {
        let (mut at, mut inclusive) = (at, false);
        for _ in 0..CHANGES_MAX {
            let offset = self.zone.to_offset(at);
            let local = schedule.cron.find_next_occurrence(&offset.to_datetime(at), inclusive).ok()?;
            let found = offset.to_timestamp(local).ok()?;
            match self.zone.following(at).next() {
                Some(change) if found >= change.timestamp() => (at, inclusive) = (change.timestamp(), true),
                _ => return Some(found),
            }
        }
        None
    }

    fn last_interval(&self, schedule: &Schedule, at: Timestamp) -> Option<Timestamp> {
        let mut at = at;
        for _ in 0..CHANGES_MAX {
            let offset = self.zone.to_offset(at);
            let local = schedule.cron.find_previous_occurrence(&offset.to_datetime(at), true).ok()?;
            let found = offset.to_timestamp(local).ok()?;
            match self.zone.preceding(just_after(at)?).next() {
                Some(change) if found < change.timestamp() => {
                    at = change.timestamp().checked_sub(SignedDuration::from_millis(1)).ok()?;
                }
                _ => return Some(found),
            }
        }
        None
    }

    /// When a local time of the clock comes.
    fn instant(&self, local: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(local).ok()
            }
            AmbiguousOffset::Gap { before, .. } => {
                let late = before.to_timestamp(local).ok()?;
                self.zone.preceding(just_after(late)?).next().map(|change| change.timestamp())
            }
        }
    }
}

fn just_after(at: Timestamp) -> Option<Timestamp> {
    at.checked_add(SignedDuration::from_nanos(1)).ok()
}

impl FromStr for Zone {
    type Err = InvalidZone;

    fn from_str(name: &str) -> Result<Self, InvalidZone> {
        let zone = match name {
            "UTC" => Some(TimeZone::UTC),
            _ if name.starts_with(['+', '-']) => offset(name).map(TimeZone::fixed),
            _ => TimeZone::get(name).ok(),
        };
        zone.map(|zone| Self { name: name.to_owned(), zone }).ok_or_else(|| InvalidZone { name: shortened(name) })
    }
}

fn offset(text: &str) -> Option<Offset> {
    let (hours, minutes) = text[1..].split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i32>().ok().filter(|_| digits)
    };
    let minutes = number(minutes).filter(|minutes| *minutes < 60)? + number(hours)? * 60;
    let sign = if text.starts_with('-') { -1 } else { 1 };
    (minutes <= OFFSET_MIN_MAX).then(|| Offset::from_seconds(sign * minutes * 60).ok()).flatten()
}

fn shortened(name: &str) -> String {
    name.chars().take(100).collect()
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl TryFrom<String> for Zone {
    type Error = InvalidZone;
    fn try_from(text: String) -> Result<Self, InvalidZone> {
        text.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a time").as_millisecond()
    }

    fn text(ms: i64) -> String {
        Timestamp::from_millisecond(ms).expect("a time").to_string()
    }

    fn new_york() -> Zone {
        // The rules themselves, so that the test needs no database.
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a zone");
        Zone { name: "New York".to_owned(), zone }
    }

    fn following(cron: &str, from: &str, count: usize) -> Vec<String> {
        let (zone, schedule) = (new_york(), Schedule::parse_timer(cron).expect("a schedule"));
        let next = |at: i64| zone.next_after(&schedule, at);
        let times: Vec<i64> = std::iter::successors(next(ms(from)), |at| next(*at)).take(count).collect();
        for at in &times {
            assert_eq!(zone.last_until(&schedule, *at), Some(*at), "{cron}: {} is its own last time", text(*at));
        }
        for pair in times.windows(2) {
            let between = zone.last_until(&schedule, pair[1] - 1);
            assert_eq!(between, Some(pair[0]), "{cron}: none between {} and {}", text(pair[0]), text(pair[1]));
        }
        times.into_iter().map(text).collect()
    }

    #[test]
    fn a_time_that_is_skipped_comes_when_the_clock_is_put_forward() {
        // 02:00 EST does not exist on 2025-03-09; at 07:00Z it is 03:00 EDT.
        let days = following("0 2 * * *", "2025-03-08T06:30:00Z", 4);
        assert_eq!(
            days,
            ["2025-03-08T07:00:00Z", "2025-03-09T07:00:00Z", "2025-03-10T06:00:00Z", "2025-03-11T06:00:00Z"]
        );
        let half = following("30 2 * * *", "2025-03-08T08:30:00Z", 2);
        assert_eq!(half, ["2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"]);
        let both = following("0 0,30 2 * * * *", "2025-03-09T05:00:00Z", 2);
        assert_eq!(both, ["2025-03-09T07:00:00Z", "2025-03-10T06:00:00Z"], "they come together, once");
    }

    #[test]
    fn a_time_that_is_repeated_comes_once() {
        // 01:30 is 05:30Z (EDT) and 06:30Z (EST) on 2025-11-02.
        let days = following("30 1 * * *", "2025-11-01T12:00:00Z", 2);
        assert_eq!(days, ["2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"]);
        let within = following("30 1 * * *", "2025-11-02T06:00:00Z", 1);
        assert_eq!(within, ["2025-11-03T06:30:00Z"], "nor after a start within the repeated hour");
        let zone = new_york();
        let schedule = Schedule::parse_timer("30 1 * * *").expect("a schedule");
        assert_eq!(
            zone.last_until(&schedule, ms("2025-11-02T06:10:00Z")).map(text).as_deref(),
            Some("2025-11-02T05:30:00Z")
        );
    }

    #[test]
    fn intervals_follow_the_clock_as_it_is() {
        let gap = following("*/30 * * * *", "2025-03-09T06:00:00Z", 3);
        assert_eq!(gap, ["2025-03-09T06:30:00Z", "2025-03-09T07:00:00Z", "2025-03-09T07:30:00Z"]);
        let overlap = following("15 * * * *", "2025-11-02T04:30:00Z", 3);
        assert_eq!(overlap, ["2025-11-02T05:15:00Z", "2025-11-02T06:15:00Z", "2025-11-02T07:15:00Z"]);
        let skipped = following("*/20 2 * * *", "2025-03-08T07:30:00Z", 2);
        assert_eq!(skipped, ["2025-03-08T07:40:00Z", "2025-03-10T06:00:00Z"], "02:xx is not there on the 9th");
    }

    #[test]
    fn a_star_with_a_step_counts_as_a_star() {
        // Odd days and Wednesdays: either would do if */2 restricted the day.
        let both = following("0 0 */2 * 3", "2025-01-01T12:00:00Z", 3);
        assert_eq!(both, ["2025-01-15T05:00:00Z", "2025-01-29T05:00:00Z", "2025-02-05T05:00:00Z"]);
        let either = following("0 0 1-31 * 4", "2025-01-01T12:00:00Z", 2);
        assert_eq!(either, ["2025-01-02T05:00:00Z", "2025-01-03T05:00:00Z"]);
    }

    #[test]
    fn dates_that_never_come_have_no_next_time() {
        for cron in ["0 0 0 30 2 * *", "0 0 31 4 *", "*/5 * 30 2 *", "0 0 0 29 2 * 2025", "0 0 0 1 1 * 2020"] {
            assert_eq!(following(cron, "2025-01-01T00:00:00Z", 1), Vec::<String>::new(), "{cron}");
        }
        assert_eq!(following("0 0 29 2 *", "2025-01-01T00:00:00Z", 1), ["2028-02-29T05:00:00Z"]);
    }

    #[test]
    fn a_zone_is_an_offset_or_a_name() {
        for name in ["+08:00", "-03:30", "+14:00", "UTC"] {
            assert_eq!(name.parse::<Zone>().expect(name).to_string(), name);
        }
        for name in ["", "08:00", "+8", "+14:01", "+08:60", "-1:00", "+é:00", "Mars/Olympus"] {
            assert!(name.parse::<Zone>().is_err(), "{name}");
        }
        assert_eq!("+08:00".parse::<Zone>().expect("China"), Zone::china());
        let schedule = Schedule::parse_timer("0 9 * * *").expect("nine");
        let next = Zone::china().next_after(&schedule, ms("2026-03-02T00:00:00Z"));
        assert_eq!(next.map(text).as_deref(), Some("2026-03-02T01:00:00Z"));
    }
}
