//! The limits of this crate, with their defaults.

use serde::{Deserialize, Serialize};

/// What an instance may use, and how a start is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What isolates instances: `sampan`, its own isolation, or another runtime, `runc`, `crun`,
    /// `runsc` or an absolute path.
    pub runtime: String,
    /// Further ones that a function may ask for by its tag `sampan:runtime`.
    pub runtimes_allowed: Vec<String>,
    /// Memory size that comes with one whole core, in MB; smaller and larger sizes get their share
    /// of one.
    pub core_memory_mb: u32,
    /// CPU time that the smallest function gets all the same, in microseconds of each 100 ms. Below
    /// about this much a request is spent waiting for the next period.
    pub cpu_quota_us_min: u32,
    /// CPU time that any function gets until its server listens, in microseconds of each 100 ms:
    /// starting is mostly work, and a caller waits for it. 0 leaves starts with the function's own
    /// share.
    pub cpu_start_quota_us_min: u32,
    /// Processes and threads of an instance.
    pub pids_max: u64,
    /// Open files of each of its processes.
    pub files_max: u64,
    /// How long a stopped instance has to end by itself, in milliseconds, unless its function has
    /// the tag `sampan:stop-grace`.
    pub stop_grace_ms: u64,
    /// Lines of its last output that the error of a failed start shows.
    pub last_output_lines_max: usize,
    /// The same in bytes.
    pub last_output_bytes_max: usize,
    /// Images of whose roots it is remembered what starts need to know of them.
    pub known_roots_max: usize,
    /// How long a failed start waits for its killed instance to be gone, in milliseconds.
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
            pids_max: 1_024,
            files_max: 1_024,
            stop_grace_ms: 2_000,
            last_output_lines_max: 5,
            last_output_bytes_max: 1_024,
            known_roots_max: 1_024,
            kill_wait_ms_max: 2_000,
        }
    }
}
