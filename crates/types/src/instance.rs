//! Facts about an instance's process for all planes: its exit status and network counters.

/// How an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus {
    /// Its exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed one of its processes for memory, and it did not end well.
    pub out_of_memory: bool,
}

/// Traffic of an instance with the world outside, in bytes since its start, requests and their
/// answers not among it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetworkBytes {
    /// Out of it.
    pub sent: u64,
    /// Into it.
    pub received: u64,
}
