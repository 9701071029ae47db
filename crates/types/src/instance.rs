//! Exit status and network counters of an instance's process, shared by all planes.

/// Exit status of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus {
    /// Exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Whether the OOM killer ended one of its processes and it did not exit successfully.
    pub out_of_memory: bool,
}

/// Egress traffic of an instance in bytes since its start, without its requests and their
/// responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetworkBytes {
    /// Sent bytes.
    pub sent: u64,
    /// Received bytes.
    pub received: u64,
}
