//! The limits of this crate, with their defaults.

use serde::{Deserialize, Serialize};
use types::Bounds;
use types::limits::{MEMORY_MB_MAX, MEMORY_MB_STEP};

/// Resources of an instance, and limits of a start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Isolation of instances: `sampan`, its own launcher, or another runtime, `runc`, `crun`,
    /// `runsc` or an absolute path.
    pub runtime: String,
    /// Further runtimes that a function may select by its tag `sampan:runtime`.
    pub runtimes_allowed: Vec<String>,
    /// Memory size that includes one whole core, in MB; other sizes get a proportional share.
    pub core_memory_mb: u32,
    /// Minimum CPU time of any function, in microseconds of each 100 ms. Below about this much a
    /// request spends most of its time waiting for the next period.
    pub cpu_quota_us_min: u32,
    /// Minimum CPU time of any function until its server listens, in microseconds of each 100 ms:
    /// starting is mostly CPU work, and a caller waits for it. 0 gives starts the function's own
    /// share.
    pub cpu_start_quota_us_min: u32,
    /// Maximum memory size of one function, in MB. 0 is half of the machine's memory, or what the
    /// reference's contract allows (3,072 MB) where that is more and the machine has it.
    pub memory_mb_max: u32,
    /// Maximum CPU time of one function, in thousandths of a core, where it is set independently of
    /// the memory size. 0 is all cores of the machine.
    pub cpu_milli_max: u32,
    /// Processes and threads of an instance, unless its function sets another number.
    pub pids_max: u64,
    /// Maximum that a function may set.
    pub pids_per_function_max: u32,
    /// Open files of each of its processes, unless its function sets another number.
    pub files_max: u64,
    /// Maximum that a function may set.
    pub files_per_function_max: u32,
    /// Stop grace of an instance, in milliseconds, unless its function has the tag
    /// `sampan:stop-grace`.
    pub stop_grace_ms: u64,
    /// Lines of last output that the error of a failed start shows.
    pub last_output_lines_max: usize,
    /// Bytes of last output that the error of a failed start shows.
    pub last_output_bytes_max: usize,
    /// Images for which facts about their roots are cached for starts.
    pub known_roots_max: usize,
    /// How long the instance of a start check must live after its server listened, in milliseconds:
    /// some programs open their port and then fail. A call never waits for this. 0 disables it.
    pub start_check_alive_ms: u64,
    /// How long a failed start waits for the end of its killed instance, in milliseconds.
    pub kill_wait_ms_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            runtime: sandbox::OWN_RUNTIME.to_owned(),
            runtimes_allowed: Vec::new(),
            core_memory_mb: 1_792,
            cpu_quota_us_min: 10_000,
            cpu_start_quota_us_min: 100_000,
            memory_mb_max: 0,
            cpu_milli_max: 0,
            pids_max: 1_024,
            pids_per_function_max: 32_768,
            files_max: 1_024,
            files_per_function_max: 1_048_576,
            stop_grace_ms: 2_000,
            last_output_lines_max: 5,
            last_output_bytes_max: 1_024,
            known_roots_max: 1_024,
            start_check_alive_ms: 100,
            kill_wait_ms_max: 2_000,
        }
    }
}

impl Config {
    /// The maximum resources of one function, on a machine with this memory and these processors,
    /// by a platform with this limit of open files.
    pub fn bounds(&self, machine_mb: u64, processors: usize, files: u64) -> Bounds {
        let machine_mb = u32::try_from(machine_mb).unwrap_or(u32::MAX);
        let whole_steps = |mb: u32| mb - mb % MEMORY_MB_STEP;
        let memory_mb = match self.memory_mb_max {
            0 => whole_steps((machine_mb / 2).max(MEMORY_MB_MAX).min(machine_mb)),
            set => set,
        };
        let cpu_milli = match self.cpu_milli_max {
            0 => u32::try_from(processors.max(1)).unwrap_or(u32::MAX).saturating_mul(1_000),
            set => set,
        };
        let files = u32::try_from(files).unwrap_or(u32::MAX).min(self.files_per_function_max);
        Bounds { memory_mb, cpu_milli, files, pids: self.pids_per_function_max, ..Bounds::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_may_have_half_the_machine_and_what_the_contract_allows() {
        let config = Config::default();
        let memory = |machine_mb| config.bounds(machine_mb, 2, 1 << 20).memory_mb;
        assert_eq!([memory(1_000), memory(4_000), memory(24_000)], [896, 3_072, 11_904]);
        let set = Config { memory_mb_max: 20_000, cpu_milli_max: 500, ..config.clone() }.bounds(1_000, 8, 4_096);
        assert_eq!((set.memory_mb, set.cpu_milli, set.files, set.pids), (20_000, 500, 4_096, 32_768));
        assert_eq!(config.bounds(1_000, 8, 4_096).cpu_milli, 8_000);
    }
}
