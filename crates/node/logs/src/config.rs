//! The limits of this crate, with their defaults.

use serde::{Deserialize, Serialize};

/// Limits of log collection, storage and queries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Closed segments whose newest line is older than this are removed, in days.
    pub retention_days: u32,
    /// All segment files together, in bytes; the oldest are removed first.
    pub disk_bytes_max: u64,
    /// The active segment is closed when it is at least this large, in bytes before compression.
    pub segment_bytes_max: u64,
    /// The active segment is closed when its first line is older than this, in seconds.
    pub segment_age_s_max: u64,
    /// How long a record may wait for others before the batch is written, in milliseconds.
    pub flush_ms: u64,
    /// Queued records, in bytes. Lines over the limit are dropped and counted; beginnings and ends
    /// of invocations may take twice as much.
    pub queue_bytes_max: usize,
    /// Longest line, in bytes; a longer one is split.
    pub line_bytes_max: usize,
    /// Time after which an incomplete line is shown without its newline, in milliseconds.
    pub line_wait_ms: u64,
    /// Sustained lines per second of one instance.
    pub instance_lines_per_s: u32,
    /// Burst of lines of one instance.
    pub instance_lines_burst: u32,
    /// Sustained bytes per second of one instance.
    pub instance_bytes_per_s: u32,
    /// Burst of bytes of one instance.
    pub instance_bytes_burst: u32,
    /// Rate of reading an instance's output, as a multiple of its sustained rate; the excess stays
    /// in the pipe, which blocks the instance.
    pub instance_read_factor: u32,
    /// Queued lines of one function, in bytes; lines over the limit are dropped and counted.
    pub function_queue_bytes_max: usize,
    /// Output kept of one invocation, in bytes; platform lines do not count.
    pub request_log_bytes_max: usize,
    /// Recorded bytes of an invocation's return value.
    pub ret_msg_bytes_max: usize,
    /// The end of each running invocation's log that is kept in memory for tails, in bytes.
    pub tail_bytes_max: usize,
    /// Invocations whose tail stays in memory after their end.
    pub finished_tails_max: usize,
    /// A segment is closed when this many invocations ended in it; those of the last few segments
    /// are kept in memory.
    pub index_invocations_max: usize,
    /// Cached directories of closed segments' indexes, in bytes.
    pub index_directories_bytes_max: usize,
    /// Bytes before compression of the newest segments that are read at start to fill the index.
    pub index_rebuild_bytes_max: u64,
    /// Bytes before compression that one page of lines from a cursor on may read.
    pub scan_bytes_max: u64,
    /// Bytes before compression that are read for the newest lines; stretches excluded by an index
    /// do not count.
    pub newest_scan_bytes_max: u64,
    /// Invocations or lines that one query returns at most.
    pub page_len_max: usize,
    /// Lines of one page, in bytes, over all its invocations; a placeholder line stands for the
    /// rest.
    pub page_log_bytes_max: usize,
    /// Lines buffered for a slow follower; older ones are skipped and counted.
    pub follow_lines_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            retention_days: 7,
            disk_bytes_max: 2 << 30,
            segment_bytes_max: 16 << 20,
            segment_age_s_max: 6 * 60 * 60,
            flush_ms: 20,
            queue_bytes_max: 8 << 20,
            line_bytes_max: 16 << 10,
            line_wait_ms: 500,
            instance_lines_per_s: 5_000,
            instance_lines_burst: 50_000,
            instance_bytes_per_s: 1 << 20,
            instance_bytes_burst: 8 << 20,
            instance_read_factor: 10,
            function_queue_bytes_max: 2 << 20,
            request_log_bytes_max: 1 << 20,
            ret_msg_bytes_max: 4 << 10,
            tail_bytes_max: 8 << 10,
            finished_tails_max: 1_000,
            index_invocations_max: 50_000,
            index_directories_bytes_max: 16 << 20,
            index_rebuild_bytes_max: 64 << 20,
            scan_bytes_max: 1 << 30,
            newest_scan_bytes_max: 256 << 20,
            page_len_max: 10_000,
            page_log_bytes_max: 16 << 20,
            follow_lines_max: 4_096,
        }
    }
}

impl Config {
    pub(crate) fn line_wait(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.line_wait_ms.max(1))
    }
}
