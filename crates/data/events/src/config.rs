//! Limits of the queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of the queue; times have their unit in the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most events that wait or run, of all functions together.
    pub rows_max: u64,
    /// Most bytes of their payloads.
    pub bytes_max: u64,
    /// Most events of one function that wait or run.
    pub function_rows_max: u64,
    /// Most bytes of their payloads.
    pub function_bytes_max: u64,
    /// Rows after which a commit ends.
    pub commit_rows_max: usize,
    /// Bytes of payloads after which a commit ends.
    pub commit_bytes_max: usize,
    /// Most changes that wait for the writer.
    pub writer_queue_len_max: usize,
    /// Most runs at a time, of all functions together.
    pub runs_max: usize,
    /// Most runs of one function at a time.
    pub function_runs_max: usize,
    /// Events of one function that one statement claims.
    pub claim_rows_max: usize,
    /// How long a claim stays another owner's without being renewed.
    pub lease_s: u64,
    /// Times that an event is taken up again after the platform ended during its run.
    pub recoveries_max: u32,
    /// How long states of finished events are kept.
    pub states_s: u64,
    /// How long results of finished events are kept.
    pub results_s: u64,
    /// Longest result that is kept with a state.
    pub result_bytes_max: usize,
    /// Most dead letters of one namespace; the oldest make room.
    pub dead_letters_max: u64,
    /// Acceptance stops when the file system of the queue has less room than this.
    pub disk_free_bytes_min: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rows_max: 4_000_000,
            bytes_max: 16 << 30,
            function_rows_max: 1_000_000,
            function_bytes_max: 4 << 30,
            commit_rows_max: 256,
            commit_bytes_max: 4 << 20,
            writer_queue_len_max: 1024,
            runs_max: 256,
            function_runs_max: 128,
            claim_rows_max: 32,
            lease_s: 60,
            recoveries_max: 3,
            states_s: 3 * 24 * 3600,
            results_s: 24 * 3600,
            result_bytes_max: 64 << 10,
            dead_letters_max: 10_000,
            disk_free_bytes_min: 64 << 20,
        }
    }
}

impl Config {
    pub(crate) fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s)
    }
}
