//! Converts schedule expressions of AWS to seven cron fields in UTC. Pure.

/// Converts `rate(5 minutes)` or `cron(0 12 * * ? *)` (minute, hour, day, month, weekday, year) to
/// cron fields from second to year; `None` for expressions without an equivalent.
pub fn cron(expression: &str) -> Option<String> {
    let inside = |name: &str| expression.trim().strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(rate) = inside("rate") {
        let (count, unit) = rate.trim().split_once(' ')?;
        let count: u32 = count.parse().ok().filter(|count| *count > 0)?;
        return match unit.trim().trim_end_matches('s') {
            "minute" if 60 % count == 0 => Some(format!("0 */{count} * * * * *")),
            "hour" if 24 % count == 0 => Some(format!("0 0 */{count} * * * *")),
            "day" if count == 1 => Some("0 0 0 * * * *".to_owned()),
            _ => None,
        };
    }
    let fields: Vec<&str> = inside("cron")?.split_whitespace().collect();
    let [minute, hour, day, month, weekday, year] = fields[..] else { return None };
    // AWS counts weekdays from 1, so only names are portable. Sampan has no L, W or #.
    if weekday.contains(|c: char| c.is_ascii_digit()) || [day, weekday].iter().any(|field| is_special(field)) {
        return None;
    }
    let any = |field: &str| field.replace('?', "*");
    Some(format!("0 {minute} {hour} {} {month} {} {year}", any(day), any(weekday)))
}

fn is_special(field: &str) -> bool {
    field.contains('#') || field.contains('W') && !field.contains("WED") || field == "L"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_the_same_times_or_none() {
        for (expression, expected) in [
            ("rate(1 minute)", Some("0 */1 * * * * *")),
            ("rate(15 minutes)", Some("0 */15 * * * * *")),
            ("rate(7 minutes)", None),
            ("rate(12 hours)", Some("0 0 */12 * * * *")),
            ("rate(1 day)", Some("0 0 0 * * * *")),
            ("rate(2 days)", None),
            ("rate(0 minutes)", None),
            ("cron(0 12 * * ? *)", Some("0 0 12 * * * *")),
            ("cron(15 10 ? * MON-FRI *)", Some("0 15 10 * * MON-FRI *")),
            ("cron(0 8 ? * WED 2027)", Some("0 0 8 * * WED 2027")),
            ("cron(0 8 ? * 2 *)", None),
            ("cron(0 8 L * ? *)", None),
            ("cron(0 8 ? * FRI#1 *)", None),
            ("cron(0 8)", None),
            ("at(2027-01-01T00:00:00)", None),
        ] {
            assert_eq!(cron(expression).as_deref(), expected, "{expression}");
        }
    }
}
