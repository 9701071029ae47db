//! Stop policy of a function's instances: the stop signal of the image, and the grace. Pure.

use std::time::Duration;

use types::tags;

use crate::Config;

/// The signal of images without a valid one.
const DEFAULT: i32 = 15;
/// The first and the last real-time signal, as the images' C library numbers them.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;
/// Signals by their names without `SIG` (signal(7), x86-64), from 1 on.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// Stop signal and grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StopPolicy {
    pub(crate) signal: i32,
    pub(crate) grace: Duration,
}

/// The policy of a function with these tags, whose image has this STOPSIGNAL.
pub(crate) fn stop_policy(stop_signal: &str, tags: &[(String, String)], config: &Config) -> StopPolicy {
    let signal = number(stop_signal).unwrap_or(DEFAULT);
    // The API has refused invalid values.
    let own = tags::stop_grace_s(tags).ok().flatten().map(|seconds| Duration::from_secs(u64::from(seconds)));
    StopPolicy { signal, grace: own.unwrap_or(Duration::from_millis(config.stop_grace_ms)) }
}

/// A signal's number from its name or number (OCI image specification, config.md).
fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return (1..=*REAL_TIME.end()).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |first: &str, at: i32, sign: i32| {
        let offset = name.strip_prefix(first)?;
        let steps = match offset.strip_prefix(if sign > 0 { '+' } else { '-' }) {
            None => offset.is_empty().then_some(0)?,
            Some(steps) => steps.parse::<u8>().ok()?,
        };
        Some(at + sign * i32::from(steps)).filter(|number| REAL_TIME.contains(number))
    };
    let named = NAMES.iter().position(|known| *known == name).and_then(|at| i32::try_from(at + 1).ok());
    named.or_else(|| real_time("RTMIN", *REAL_TIME.start(), 1)).or_else(|| real_time("RTMAX", *REAL_TIME.end(), -1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_known_by_name_and_by_number() {
        for (text, want) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("SIGWINCH", Some(28)),
            ("SIGSYS", Some(31)),
            ("9", Some(9)),
            ("37", Some(37)),
            ("SIGRTMIN+3", Some(37)),
            ("SIGRTMIN", Some(34)),
            ("RTMAX-1", Some(63)),
            ("SIGRTMIN-1", None),
            ("SIGRTMIN+31", None),
            ("SIGRTMIN+é", None),
            ("RTMINé", None),
            ("65", None),
            ("0", None),
            ("-3", None),
            ("SIG", None),
            ("", None),
        ] {
            assert_eq!(number(text), want, "{text}");
        }
    }

    #[test]
    fn the_functions_own_grace_counts_and_an_unknown_signal_is_the_default() {
        let config = Config::default();
        let tags = vec![(tags::STOP_GRACE.to_owned(), "7".to_owned())];
        let seconds = Duration::from_secs;
        assert_eq!(stop_policy("", &[], &config), StopPolicy { signal: 15, grace: seconds(2) });
        assert_eq!(stop_policy("SIGQUIT", &tags, &config), StopPolicy { signal: 3, grace: seconds(7) });
        assert_eq!(stop_policy("SIGNONE", &tags, &config), StopPolicy { signal: 15, grace: seconds(7) });
    }
}
