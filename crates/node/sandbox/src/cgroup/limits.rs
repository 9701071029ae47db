//! Resource limits of an instance.

/// Resource limits of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes; no swap.
    pub memory_bytes: u64,
    /// Processor time in each 100 ms, in microseconds.
    pub cpu_quota_us: u64,
    /// The same until [`super::InstanceCgroup::settle`], during the start.
    pub cpu_start_quota_us: u64,
    /// Processes and threads.
    pub pids_max: u64,
}
