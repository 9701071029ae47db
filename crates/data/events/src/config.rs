//! Limits of the queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Settings of the queue; times have their unit in the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Maximum of waiting and running events, of all functions together.
    pub rows_max: u64,
    /// Maximum of the bytes of their payloads.
    pub bytes_max: u64,
    /// Maximum of waiting and running events of one function.
    pub function_rows_max: u64,
    /// Maximum of the bytes of their payloads.
    pub function_bytes_max: u64,
    /// Rows at which a group commit is closed.
    pub commit_rows_max: usize,
    /// Bytes of payloads at which a group commit is closed.
    pub commit_bytes_max: usize,
    /// Longest write-ahead log; commits wait until it has been copied into the file.
    pub wal_bytes_max: u64,
    /// Maximum of changes queued for the writer.
    pub writer_queue_len_max: usize,
    /// Maximum of concurrent runs, of all functions together.
    pub runs_max: usize,
    /// Maximum of concurrent runs of one function.
    pub function_runs_max: usize,
    /// Longest delay that a function can request by `Retry-After`; 0 ignores it.
    pub retry_after_s_max: u64,
    /// Duration of a claim's lease without renewal.
    pub lease_s: u64,
    /// How often an event is claimed again after the platform ended during its run.
    pub recoveries_max: u32,
    /// Retention of states of finished events.
    pub states_s: u64,
    /// Retention of results of finished events.
    pub results_s: u64,
    /// Longest result that is kept with a state.
    pub result_bytes_max: usize,
    /// Maximum of the bytes of all results; the oldest are removed.
    pub results_bytes_max: u64,
    /// Retention of source keys, such as a client's `Idempotency-Key`: an event whose key is stored
    /// already is not accepted again.
    pub dedup_s: u64,
    /// Maximum of dead letters of one namespace; the oldest are removed.
    pub dead_letters_max: u64,
    /// Most dead letters that are redriven within a second; more of them are due later.
    pub redrive_per_second_max: u32,
    /// Maximum of waiting deliveries to destinations and callbacks; further ones become dead
    /// letters at once.
    pub delivery_rows_max: u64,
    /// Maximum of concurrent deliveries.
    pub deliveries_max: usize,
    /// Maximum of concurrent deliveries to one host.
    pub host_deliveries_max: usize,
    /// Longest record of a run's end; a longer one omits its payloads.
    pub record_bytes_max: usize,
    /// Maximum of bytes of a web function's response that its callback gets; a longer one is
    /// truncated.
    pub callback_bytes_max: usize,
    /// How long a delivery is retried.
    pub delivery_ttl_s: u64,
    /// Acceptance stops when the file system of the queue has less free space than this.
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
            wal_bytes_max: 64 << 20,
            writer_queue_len_max: 1024,
            runs_max: 256,
            function_runs_max: 128,
            retry_after_s_max: 3600,
            lease_s: 60,
            recoveries_max: 3,
            states_s: 3 * 24 * 3600,
            results_s: 24 * 3600,
            result_bytes_max: 64 << 10,
            results_bytes_max: 1 << 30,
            dedup_s: 24 * 3600,
            dead_letters_max: 10_000,
            redrive_per_second_max: 50,
            delivery_rows_max: 1_000_000,
            deliveries_max: 64,
            host_deliveries_max: 8,
            record_bytes_max: 256 << 10,
            callback_bytes_max: 1 << 20,
            delivery_ttl_s: 6 * 3600,
            disk_free_bytes_min: 64 << 20,
        }
    }
}

/// Longest times that can be set: a hundred years of seconds.
const TIME_S_MAX: u64 = 100 * 366 * 24 * 3600;

impl Config {
    /// Refuses values with which the queue would not work.
    ///
    /// # Errors
    /// The first invalid key, and its bounds.
    pub fn check(&self) -> Result<(), Error> {
        let bounds = [
            ("events.rows_max", self.rows_max, 1, i64::MAX.unsigned_abs()),
            ("events.bytes_max", self.bytes_max, 1, i64::MAX.unsigned_abs()),
            ("events.function_rows_max", self.function_rows_max, 1, i64::MAX.unsigned_abs()),
            ("events.function_bytes_max", self.function_bytes_max, 1, i64::MAX.unsigned_abs()),
            ("events.commit_rows_max", self.commit_rows_max as u64, 1, 100_000),
            ("events.commit_bytes_max", self.commit_bytes_max as u64, 1, 1 << 30),
            ("events.wal_bytes_max", self.wal_bytes_max, 1 << 20, 64 << 30),
            ("events.writer_queue_len_max", self.writer_queue_len_max as u64, 1, 1 << 20),
            ("events.runs_max", self.runs_max as u64, 1, 1 << 20),
            ("events.function_runs_max", self.function_runs_max as u64, 1, 1 << 20),
            ("events.retry_after_s_max", self.retry_after_s_max, 0, TIME_S_MAX),
            ("events.lease_s", self.lease_s, 1, TIME_S_MAX),
            ("events.states_s", self.states_s, 1, TIME_S_MAX),
            ("events.results_s", self.results_s, 1, TIME_S_MAX),
            ("events.results_bytes_max", self.results_bytes_max, 1024, i64::MAX.unsigned_abs()),
            ("events.dedup_s", self.dedup_s, 1, TIME_S_MAX),
            ("events.dead_letters_max", self.dead_letters_max, 1, i64::MAX.unsigned_abs()),
            ("events.redrive_per_second_max", u64::from(self.redrive_per_second_max), 1, 100_000),
            ("events.deliveries_max", self.deliveries_max as u64, 1, 10_000),
            ("events.host_deliveries_max", self.host_deliveries_max as u64, 1, 10_000),
            ("events.record_bytes_max", self.record_bytes_max as u64, 1024, 16 << 20),
            ("events.callback_bytes_max", self.callback_bytes_max as u64, 1024, 16 << 20),
            ("events.delivery_ttl_s", self.delivery_ttl_s, 1, TIME_S_MAX),
        ];
        match bounds.into_iter().find(|(_, value, min, max)| !(*min..=*max).contains(value)) {
            Some((key, value, min, max)) => Err(Error::Setting { key, value, min, max }),
            None => Ok(()),
        }
    }

    pub(crate) fn retry_after_max(&self) -> Duration {
        Duration::from_secs(self.retry_after_s_max)
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_which_nothing_would_run_are_refused_by_name() {
        assert!(Config::default().check().is_ok());
        let refused = |config: Config| config.check().unwrap_err().to_string();
        let zero = refused(Config { runs_max: 0, ..Config::default() });
        assert_eq!(zero, "events.runs_max = 0 is not allowed; use 1 to 1048576");
        let no_rows = refused(Config { function_rows_max: 0, ..Config::default() });
        assert!(no_rows.starts_with("events.function_rows_max = 0 is not allowed"), "{no_rows}");
        assert!(refused(Config { lease_s: 0, ..Config::default() }).starts_with("events.lease_s = 0"));
        assert!(refused(Config { states_s: u64::MAX, ..Config::default() }).starts_with("events.states_s"));
    }
}
