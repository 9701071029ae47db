//! Which file of which version says what: limits to write, counters to read.

use std::path::{Path, PathBuf};

/// Length of the period that the processor quota is of, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// Weight of one core's worth of quota, in version 1's unit (1024 is the default of a group).
const SHARES_PER_CORE: u64 = 1024;

/// A value to be written, and whether a kernel without the file will do too.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// File name.
    pub file: &'static str,
    /// What to write.
    pub value: String,
    /// Swap accounting can be compiled out or off; without it there is no file.
    pub optional: bool,
}

fn required(file: &'static str, value: impl ToString) -> Setting {
    Setting { file, value: value.to_string(), optional: false }
}

fn optional(file: &'static str, value: impl ToString) -> Setting {
    Setting { file, value: value.to_string(), optional: true }
}

/// Settings of one controller in version 1.
pub fn v1_settings(controller: &str, limits: &super::Limits) -> Vec<Setting> {
    match controller {
        "memory" => vec![
            required("memory.limit_in_bytes", limits.memory_bytes),
            optional("memory.memsw.limit_in_bytes", limits.memory_bytes),
            optional("memory.swappiness", 0),
        ],
        "cpu" => vec![
            required("cpu.cfs_period_us", CPU_PERIOD_US),
            required("cpu.cfs_quota_us", limits.cpu_quota_us),
            required("cpu.shares", (limits.cpu_quota_us * SHARES_PER_CORE / CPU_PERIOD_US).max(2)),
        ],
        _ => vec![required("pids.max", limits.pids_max)],
    }
}

/// Settings of one controller in version 2.
pub fn v2_settings(controller: &str, limits: &super::Limits) -> Vec<Setting> {
    match controller {
        "memory" => vec![
            required("memory.max", limits.memory_bytes),
            optional("memory.swap.max", 0),
            // The instance is one thing: when one of its processes must go, all do.
            optional("memory.oom.group", 1),
        ],
        "cpu" => vec![
            required("cpu.max", format!("{} {CPU_PERIOD_US}", limits.cpu_quota_us)),
            // Version 2's default weight is 100 where version 1's is 1024.
            required("cpu.weight", (limits.cpu_quota_us * 100 / CPU_PERIOD_US).clamp(1, 10_000)),
        ],
        _ => vec![required("pids.max", limits.pids_max)],
    }
}

/// Where memory is read.
#[derive(Debug, Clone)]
pub struct MemoryFiles {
    /// Bytes now.
    pub current: PathBuf,
    /// Most bytes so far (version 2: Linux 5.19).
    pub peak: PathBuf,
    /// Has a line `oom_kill <count>`.
    pub events: PathBuf,
}

impl MemoryFiles {
    /// Of a version 1 directory.
    pub fn v1(folder: &Path) -> Self {
        Self {
            current: folder.join("memory.usage_in_bytes"),
            peak: folder.join("memory.max_usage_in_bytes"),
            events: folder.join("memory.oom_control"),
        }
    }

    /// Of a version 2 directory.
    pub fn v2(folder: &Path) -> Self {
        Self {
            current: folder.join("memory.current"),
            peak: folder.join("memory.peak"),
            events: folder.join("memory.events"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;

    #[test]
    fn one_core_is_the_whole_period_and_the_default_weight() {
        let limits = Limits { memory_bytes: 1 << 30, cpu_quota_us: 100_000, pids_max: 9 };
        let v1 = v1_settings("cpu", &limits);
        assert_eq!((v1[1].value.as_str(), v1[2].value.as_str()), ("100000", "1024"));
        let v2 = v2_settings("cpu", &limits);
        assert_eq!((v2[0].value.as_str(), v2[1].value.as_str()), ("100000 100000", "100"));
    }

    #[test]
    fn no_controller_allows_swap() {
        let limits = Limits { memory_bytes: 5, cpu_quota_us: 1, pids_max: 1 };
        assert!(v1_settings("memory", &limits).contains(&optional("memory.memsw.limit_in_bytes", 5)));
        assert!(v2_settings("memory", &limits).contains(&optional("memory.swap.max", 0)));
    }
}
