//! Parser of Go durations (`time.ParseDuration`), the format of Kubernetes: `12h`, `1h30m`, `0s`,
//! `1.5h`. Pure.

use std::time::Duration;

/// Units in nanoseconds; units of two letters first, because `ms` begins with `m`.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses a duration; `None` for anything else and for negative ones.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(end);
        let (unit, nanos) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        total = total.checked_add(multiple(number, *nanos)?)?;
        rest = &behind[unit.len()..];
    }
    (!text.is_empty()).then_some(total)
}

/// `number` times `nanos`, truncated to whole nanoseconds.
fn multiple(number: &str, nanos: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Further digits are below a nanosecond in every unit.
    let fraction: String = fraction.chars().take(15).collect();
    let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let nanos = u128::from(nanos);
    let total = u128::from(whole).checked_mul(nanos)?.checked_add(parts * nanos / scale)?;
    u64::try_from(total).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_parsed_as_go_does() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("12h", 43_200_000),
            ("6h0m0s", 21_600_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("300ms", 300),
            (".5s", 500),
            ("+2m", 120_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "5", "-1s", "1 h", "h", "1d", "1..5s", "1h ", "99999999999h", "."] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9.hmsnµu+-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
