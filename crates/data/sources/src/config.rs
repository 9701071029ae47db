//! Limits of triggers, as the `[triggers]` table of the configuration has them.

use schedule::Zone;
use serde::{Deserialize, Serialize};

/// The `[triggers]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time zone of timer schedules that do not name one: an offset such as `+08:00`, or a name of
    /// the IANA database such as `Europe/Berlin`.
    pub timer_zone: Zone,
    /// How long after its time a timer's event is still created, in seconds: the last one that was
    /// missed while the platform was down, and one for which the queue had no room. 0 creates no
    /// late events. Keys of events are kept for at least as long (`[events] dedup_s`).
    pub timer_start_deadline_s: u64,
    /// Longest sleep between checks of the clock, in milliseconds: it may be set meanwhile.
    pub timer_sleep_ms_max: u64,
    /// Maximum of timer events that wait for their commit.
    pub timer_commits_max: usize,
    /// Maximum of events per clock minute for a trigger that sets no rate of its own.
    pub rate_per_minute_max: u32,
    /// Longest name of a trigger, in characters.
    pub name_len_max: usize,
    /// Longest `TriggerDesc` of a trigger, in bytes.
    pub desc_bytes_max: usize,
    /// Longest `CustomArgument` of a trigger, in bytes.
    pub custom_argument_bytes_max: usize,
    /// Buckets that are polled concurrently.
    pub polls_max: usize,
    /// Pages of one bucket's list, of at most 1,000 objects each; a longer list is an error.
    pub poll_pages_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timer_zone: Zone::china(),
            timer_start_deadline_s: 3600,
            timer_sleep_ms_max: 30_000,
            timer_commits_max: 1024,
            rate_per_minute_max: 60_000,
            name_len_max: 100,
            desc_bytes_max: 16 << 10,
            custom_argument_bytes_max: 4 << 10,
            polls_max: 8,
            poll_pages_max: 10_000,
        }
    }
}

/// A setting that is out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value} is not allowed; use {min} to {max}")]
pub struct WrongSetting {
    key: &'static str,
    value: u64,
    min: u64,
    max: u64,
}

impl Config {
    /// Refuses values with which triggers would not work. `dedup_s` is how long the queue keeps the
    /// keys of events.
    ///
    /// # Errors
    /// The first invalid key, and its bounds.
    pub fn check(&self, dedup_s: u64) -> Result<(), WrongSetting> {
        let bounds = [
            ("triggers.timer_start_deadline_s", self.timer_start_deadline_s, 0, dedup_s),
            ("triggers.timer_sleep_ms_max", self.timer_sleep_ms_max, 1, 60_000),
            ("triggers.timer_commits_max", self.timer_commits_max as u64, 1, 100_000),
            ("triggers.rate_per_minute_max", self.rate_per_minute_max.into(), 1, 1 << 31),
            ("triggers.polls_max", self.polls_max as u64, 1, 1000),
            ("triggers.poll_pages_max", self.poll_pages_max as u64, 1, 1_000_000),
            ("triggers.name_len_max", self.name_len_max as u64, 1, 1000),
            ("triggers.desc_bytes_max", self.desc_bytes_max as u64, 1, 1 << 20),
            ("triggers.custom_argument_bytes_max", self.custom_argument_bytes_max as u64, 0, 64 << 10),
        ];
        match bounds.into_iter().find(|(_, value, min, max)| !(*min..=*max).contains(value)) {
            Some((key, value, min, max)) => Err(WrongSetting { key, value, min, max }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_which_triggers_would_not_work_are_refused_by_name() {
        assert_eq!(Config::default().check(86_400), Ok(()));
        let refused = |config: Config| config.check(600).expect_err("out of bounds").to_string();
        let late = refused(Config::default());
        assert_eq!(late, "triggers.timer_start_deadline_s = 3600 is not allowed; use 0 to 600");
        let asleep = Config { timer_start_deadline_s: 0, timer_sleep_ms_max: 0, ..Config::default() };
        assert!(refused(asleep).starts_with("triggers.timer_sleep_ms_max = 0 "));
    }
}
