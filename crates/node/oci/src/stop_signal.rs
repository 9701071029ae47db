//! The stop signal of an image (OCI image specification, config.md): its number. Pure.

use crate::RunConfig;

/// The first and the last real-time signal, as the images' C library numbers them.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;
/// Signals by their names without `SIG` (signal(7), x86-64), from 1 on.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
/// Second names of signals (signal(7)).
const ALIASES: [(&str, &str); 3] = [("IOT", "ABRT"), ("POLL", "IO"), ("CLD", "CHLD")];

impl RunConfig {
    /// The number of the image's stop signal; `None` without one, or if it is unknown.
    pub fn stop_signal_number(&self) -> Option<i32> {
        number(&self.stop_signal)
    }

    /// The stop signal, if the image has one that is unknown.
    pub fn unknown_stop_signal(&self) -> Option<&str> {
        (!self.stop_signal.is_empty() && self.stop_signal_number().is_none()).then_some(self.stop_signal.as_str())
    }
}

/// A signal's number from its name, with or without `SIG`, or its number.
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
    let main = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, main)| main);
    let named = NAMES.iter().position(|known| *known == main).and_then(|at| i32::try_from(at + 1).ok());
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
            ("SIGABRT", Some(6)),
            ("SIGIOT", Some(6)),
            ("iot", Some(6)),
            ("SIGIO", Some(29)),
            ("SIGPOLL", Some(29)),
            ("POLL", Some(29)),
            ("SIGCHLD", Some(17)),
            ("SIGCLD", Some(17)),
            ("cld", Some(17)),
            ("9", Some(9)),
            ("37", Some(37)),
            ("SIGRTMIN+3", Some(37)),
            ("SIGRTMIN", Some(34)),
            ("RTMAX-1", Some(63)),
            ("SIGRTMIN-1", None),
            ("SIGRTMIN+31", None),
            ("SIGRTMIN+é", None),
            ("RTMINé", None),
            ("SIGFOO", None),
            ("99", None),
            ("65", None),
            ("0", None),
            ("-3", None),
            ("-15", None),
            ("SIG", None),
            ("", None),
        ] {
            assert_eq!(number(text), want, "{text}");
        }
    }

    #[test]
    fn only_a_given_signal_can_be_unknown() {
        for (text, unknown) in
            [("", false), ("SIGQUIT", false), ("SIGCLD", false), ("SIGFOO", true), ("99", true), ("-15", true)]
        {
            let run = RunConfig { stop_signal: text.to_owned(), ..RunConfig::default() };
            assert_eq!(run.unknown_stop_signal(), unknown.then_some(text), "{text}");
        }
    }
}
