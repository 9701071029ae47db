//! The values of the fields of an expression, for errors about numbers and ranges.

use super::{MONTHS, WEEKDAYS, YEARS, shortened};

/// The problem of a field: a value outside its range, or a range that ends before it begins.
/// `None` if it has neither.
pub(crate) fn problem(field: &str, text: &str) -> Option<String> {
    let (min, max) = bounds(field);
    for item in text.split(',') {
        let range = item.split('/').next().unwrap_or(item);
        for part in range.split('-') {
            // The library takes 7 for Sunday too.
            let is_sunday = field == "weekday" && part == "7";
            if !is_sunday && value(field, part).is_some_and(|value| !(min..=max).contains(&value)) {
                return Some(format!("{} is not from {min} to {max}", shortened(part)));
            }
        }
        let Some((first, last)) = range.split_once('-') else { continue };
        if value(field, last).is_some_and(|last| value(field, first) > Some(last)) {
            return Some(match field {
                "year" => format!("the range {range} ends before it begins"),
                _ => format!(
                    "the range {range} ends before it begins; write {first}-{},{}-{last}",
                    written(field, first, max),
                    written(field, last, min)
                ),
            });
        }
    }
    None
}

/// The lowest and highest value of a field.
fn bounds(field: &str) -> (u16, u16) {
    match field {
        "second" | "minute" => (0, 59),
        "hour" => (0, 23),
        "day" => (1, 31),
        "month" => (1, 12),
        "weekday" => (0, 6),
        _ => (*YEARS.start(), *YEARS.end()),
    }
}

/// The value of a number, or of the name of a month or weekday.
fn value(field: &str, part: &str) -> Option<u16> {
    let place = |names: &[&str]| names.iter().position(|name| name.eq_ignore_ascii_case(part));
    let named = match field {
        "month" => place(&MONTHS).map(|index| index + 1),
        "weekday" => place(&WEEKDAYS),
        _ => None,
    };
    named.and_then(|value| u16::try_from(value).ok()).or_else(|| part.parse().ok())
}

/// A value as `like` is written: by name or by number.
fn written(field: &str, like: &str, value: u16) -> String {
    let name = match field {
        "month" => MONTHS.get(usize::from(value) - 1),
        "weekday" => WEEKDAYS.get(usize::from(value)),
        _ => None,
    };
    match name.filter(|_| like.parse::<u16>().is_err()) {
        Some(name) => (*name).to_owned(),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_ranges_are_corrected_by_name() {
        for (field, text, said) in [
            ("minute", "60", "60 is not from 0 to 59"),
            ("hour", "1,22-24", "24 is not from 0 to 23"),
            ("day", "0", "0 is not from 1 to 31"),
            ("month", "13", "13 is not from 1 to 12"),
            ("hour", "22-2", "the range 22-2 ends before it begins; write 22-23,0-2"),
            ("weekday", "FRI-MON", "the range FRI-MON ends before it begins; write FRI-SAT,SUN-MON"),
            ("month", "11-feb", "the range 11-feb ends before it begins; write 11-12,JAN-feb"),
            ("year", "2030-2026", "the range 2030-2026 ends before it begins"),
        ] {
            assert_eq!(problem(field, text).as_deref(), Some(said));
        }
        for (field, text) in [
            ("minute", "*/5"),
            ("minute", "0-59/7"),
            ("minute", "1-x"),
            ("weekday", "MON-FRI"),
            ("weekday", "7,MOO"),
            ("month", "*"),
        ] {
            assert_eq!(problem(field, text), None, "{field} {text}");
        }
    }
}
