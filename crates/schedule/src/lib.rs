//! Cron expressions of the API: second, minute, hour, day, month, weekday, year (contract 4.11),
//! and their instants in a time zone. Pure.
//!
//! The `croner` library parses expressions and finds local times; this file checks that one has the
//! right fields and none of the library's extensions, and `zone` makes instants of local times.
#![forbid(unsafe_code)]

mod values;
mod zone;

use std::ops::RangeInclusive;
use std::str::FromStr;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

pub use zone::{InvalidZone, Zone};

/// Number of fields.
const FIELDS: usize = 7;
/// Number of fields of the older form: minute, hour, day, month, weekday.
const FIELDS_OLD: usize = 5;
/// Names of the fields, in their order.
const FIELD_NAMES: [&str; FIELDS] = ["second", "minute", "hour", "day", "month", "weekday", "year"];
/// Most characters of an expression that an error repeats.
const QUOTED_CHARS_MAX: usize = 100;
/// Longest expression, in bytes; the longest useful one, with lists in all fields, is shorter.
pub const EXPRESSION_BYTES_MAX: usize = 1024;
/// Years allowed in the last field.
const YEARS: RangeInclusive<u16> = 1970..=2099;
/// Names of months.
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
/// Names of weekdays.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Why a text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// It exceeds [`EXPRESSION_BYTES_MAX`].
    #[error("it has {bytes} bytes; the limit is {EXPRESSION_BYTES_MAX}")]
    TooLong {
        /// Its length, in bytes.
        bytes: usize,
    },
    /// It has the wrong number of fields.
    #[error(
        "it has {fields} fields; write seven: second minute hour day month weekday year, such as 0 30 9 * * MON-FRI *"
    )]
    Fields {
        /// The number of fields found.
        fields: usize,
    },
    /// It has the wrong number of fields, where the older form is allowed too.
    #[error(
        "it has {fields} fields; write seven: second minute hour day month weekday year, such as 0 30 9 * * MON-FRI *, \
         or five: minute hour day month weekday"
    )]
    TimerFields {
        /// The number of fields found.
        fields: usize,
    },
    /// A part that the contract does not allow in any field.
    #[error(
        "{field}: {part:?} means nothing in a schedule; use numbers, in month and weekday also their names, and , - * /"
    )]
    Part {
        /// The field.
        field: &'static str,
        /// The part.
        part: String,
    },
    /// A year outside the allowed range.
    #[error("year: {year} is not between {} and {}", YEARS.start(), YEARS.end())]
    Year {
        /// The year.
        year: u16,
    },
    /// A number or range outside its field's values.
    #[error("{field}: {why}")]
    Field {
        /// The field.
        field: &'static str,
        /// The problem.
        why: String,
    },
}

/// A parsed cron expression.
#[derive(Debug, Clone)]
pub struct Schedule {
    cron: Cron,
    /// Neither minute nor hour begins with `*`: it means times of the clock, not intervals.
    is_fixed: bool,
}

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(InvalidSchedule::TooLong { bytes: text.len() });
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if fields.len() != FIELDS {
            return Err(InvalidSchedule::Fields { fields: fields.len() });
        }
        for (index, field) in fields.iter().enumerate() {
            check_field(field, FIELD_NAMES[index])?;
        }
        // As in Vixie's cron, a field that begins with `*` restricts nothing by itself: `*/2` and a
        // weekday must both match, where `1,3` or a weekday is enough.
        let both = fields[3].starts_with('*') || fields[5].starts_with('*');
        let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).dom_and_dow(both).build();
        let cron = parser.parse(text).map_err(|error| wrong_field(&parser, &fields, &error.to_string()))?;
        let is_fixed = !fields[1].starts_with('*') && !fields[2].starts_with('*');
        Ok(Self { cron, is_fixed })
    }
}

/// The field for which the library refuses an expression: the one that it refuses alone.
fn wrong_field(parser: &CronParser, fields: &[&str], why: &str) -> InvalidSchedule {
    let alone = |index: usize| {
        let mut only = ["*"; FIELDS];
        only[index] = fields[index];
        let error = parser.parse(&only.join(" ")).err()?;
        let why = values::problem(FIELD_NAMES[index], fields[index]).unwrap_or_else(|| error.to_string());
        Some((FIELD_NAMES[index], why))
    };
    let (field, why) = (0..FIELDS).find_map(alone).unwrap_or(("expression", why.to_owned()));
    InvalidSchedule::Field { field, why: shortened(&why) }
}

/// The beginning of a text, for an error message.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Refuses what the library accepts beyond the contract: last days, nearest weekdays, shorthands.
fn check_field(text: &str, field: &'static str) -> Result<(), InvalidSchedule> {
    // The library reads an empty item as no value at all, and then looks for a time that never
    // comes.
    if text.split(',').any(str::is_empty) {
        return Err(InvalidSchedule::Part { field, part: shortened(text) });
    }
    for part in text.split([',', '-', '/', '*']).filter(|part| !part.is_empty()) {
        let number = part.parse::<u16>().ok().filter(|_| part.chars().all(|c| c.is_ascii_digit()));
        let word = names_of(field).iter().any(|name| name.eq_ignore_ascii_case(part));
        match number {
            // A number behind a slash is a step, not a year.
            Some(year) if field == "year" && year > 99 && !YEARS.contains(&year) => {
                return Err(InvalidSchedule::Year { year });
            }
            None if !word => return Err(InvalidSchedule::Part { field, part: shortened(part) }),
            _ => {}
        }
    }
    Ok(())
}

/// The names that a field has: the library takes all of them for numbers in every field, a month
/// among the weekdays for one of those.
fn names_of(field: &str) -> &'static [&'static str] {
    match field {
        "month" => &MONTHS,
        "weekday" => &WEEKDAYS,
        _ => &[],
    }
}

impl Schedule {
    /// Reads the expression of a timer, which may have the older form of five fields.
    ///
    /// # Errors
    /// The problem.
    pub fn parse_timer(text: &str) -> Result<Self, InvalidSchedule> {
        match text.split_ascii_whitespace().count() {
            FIELDS_OLD if text.len() <= EXPRESSION_BYTES_MAX => format!("0 {text} *").parse(),
            FIELDS => text.parse(),
            fields => Err(InvalidSchedule::TimerFields { fields }),
        }
    }

    /// The last occurrence that is not after `at_ms` (Unix milliseconds). Fields are local time,
    /// `utc_offset_s` seconds ahead of UTC. `None` where there was none.
    pub fn last_until(&self, at_ms: i64, utc_offset_s: i32) -> Option<i64> {
        let at = local(at_ms, utc_offset_s)?;
        instant(self.cron.find_previous_occurrence(&at, true).ok()?, utc_offset_s)
    }

    /// The first occurrence after `at_ms`, with units as in [`Schedule::last_until`]. `None` where
    /// none is left.
    pub fn next_after(&self, at_ms: i64, utc_offset_s: i32) -> Option<i64> {
        let at = local(at_ms, utc_offset_s)?;
        instant(self.cron.find_next_occurrence(&at, false).ok()?, utc_offset_s)
    }
}

fn local(unix_ms: i64, utc_offset_s: i32) -> Option<DateTime> {
    let offset = Offset::from_seconds(utc_offset_s).ok()?;
    Some(offset.to_datetime(Timestamp::from_millisecond(unix_ms).ok()?))
}

fn instant(local: DateTime, utc_offset_s: i32) -> Option<i64> {
    let offset = Offset::from_seconds(utc_offset_s).ok()?;
    Some(offset.to_timestamp(local).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHINA_S: i32 = 8 * 3600;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a time").as_millisecond()
    }

    fn around(expression: &str, at: &str) -> (Option<String>, Option<String>) {
        let schedule: Schedule = expression.parse().expect(expression);
        let text = |ms: i64| Timestamp::from_millisecond(ms).expect("a time").to_string();
        (schedule.last_until(ms(at), CHINA_S).map(text), schedule.next_after(ms(at), CHINA_S).map(text))
    }

    fn is(last: &str, next: &str) -> (Option<String>, Option<String>) {
        (Some(last.to_owned()), Some(next.to_owned()))
    }

    #[test]
    fn fields_are_local_time() {
        let nine = is("2026-03-02T01:30:00Z", "2026-03-03T01:30:00Z");
        assert_eq!(around("0 30 9 * * MON-FRI *", "2026-03-02T01:30:00Z"), nine);
        assert_eq!(around("0 30 9 * * 1-5 *", "2026-03-02T12:00:00Z"), nine);
        let friday = is("2026-03-06T01:30:00Z", "2026-03-09T01:30:00Z");
        assert_eq!(around("0 30 9 * * 1-5 *", "2026-03-08T00:00:00.500Z"), friday);
    }

    #[test]
    fn seconds_and_steps_are_read() {
        let five = is("2026-03-02T01:30:05Z", "2026-03-02T01:30:10Z");
        assert_eq!(around("*/5 * * * * * *", "2026-03-02T01:30:05.001Z"), five);
        let sunday = is("2026-03-01T00:00:00Z", "2026-03-08T00:00:00Z");
        assert_eq!(around("0 0 8 * * 0 *", "2026-03-02T00:00:00Z"), sunday);
    }

    #[test]
    fn a_day_or_a_weekday_is_enough_where_both_are_given() {
        let both = is("2026-03-01T16:00:00Z", "2026-03-08T16:00:00Z");
        assert_eq!(around("0 0 0 15 * MON *", "2026-03-03T00:00:00Z"), both);
        let fifteenth = is("2026-03-08T16:00:00Z", "2026-03-14T16:00:00Z");
        assert_eq!(around("0 0 0 15 * MON *", "2026-03-10T00:00:00Z"), fifteenth);
    }

    #[test]
    fn years_end_a_schedule() {
        assert_eq!(around("0 0 0 1 1 * 2020", "2026-03-03T00:00:00Z"), (Some("2019-12-31T16:00:00Z".to_owned()), None));
        assert_eq!(around("0 0 0 1 1 * 2099", "2026-03-03T00:00:00Z").0, None);
    }

    #[test]
    fn what_is_no_schedule_says_what_is_wrong() {
        let wrong = |text: &str| text.parse::<Schedule>().expect_err(text).to_string();
        assert!(wrong("* * * * *").contains("5 fields"));
        assert!(wrong("").contains("0 fields"));
        assert!(wrong("0 0 0 L * * *").contains("\"L\""));
        assert!(wrong("0 0 0 ? * * *").contains("\"?\""));
        assert!(wrong("0 0 0 1W * * *").contains("\"1W\""));
        assert!(wrong("0 0 0 * * 5#2 *").contains("5#2"));
        assert!(wrong("0 0 0 * * * 1969").contains("1969"));
        for text in [", 5 * 4 2 1 *", "0 1,,2 * * * * *", "0 1, * * * * *", "0 0 0 ,1 * * *"] {
            assert!(wrong(text).contains("means nothing"), "{text}");
        }
        for text in ["MON 0 0 * * * *", "0 0 0 JAN * * *", "0 0 0 * MON * *", "0 0 0 * * JAN-MAR *", "0 0 0 * * * DEC"]
        {
            assert!(wrong(text).contains("means nothing"), "{text}: a name in another field than its own");
        }
        assert!(wrong(&"0 ".repeat(600)).contains("1200 bytes"));
        for (text, field) in [
            ("60 * * * * * *", "second"),
            ("0 60 * * * * *", "minute"),
            ("0 0 24 * * * *", "hour"),
            ("0 0 0 32 * * *", "day"),
            ("0 0 0 5-1 * * *", "day"),
            ("0 0 0 * 13 * *", "month"),
            ("0 0 0 * * 9 *", "weekday"),
            ("0 0 0 * * * 2200", "year"),
            ("a * * * * * *", "second"),
            ("0 ? * * * * *", "minute"),
        ] {
            assert!(wrong(text).starts_with(&format!("{field}: ")), "{text}: {}", wrong(text));
            assert!(!wrong(text).contains("Component"), "{text}: {}", wrong(text));
        }
        for field in 0..FIELDS {
            let mut fields = ["*"; FIELDS];
            let long = "x".repeat(900);
            fields[field] = &long;
            let message = wrong(&fields.join(" "));
            assert!(message.chars().filter(|c| *c == 'x').count() <= 100, "{message}");
            let numbers = "9".repeat(900);
            fields[field] = &numbers;
            let message = wrong(&fields.join(" "));
            assert!(message.matches('9').count() <= 102, "{message}");
        }
    }
}
