//! Limits of deployments: table `[deploy]` of the configuration. The timeout of one preparation is
//! a limit of `[image]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `[deploy]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Concurrent preparations, including those that wait for the concurrency limits of `[image]`
    /// (per registry and per machine); further versions wait.
    pub parallel_max: usize,
    /// Concurrent start checks; further ones wait, as for admission. Must be less than the pool's
    /// concurrent starts, so that servers that never listen delay no calls. Start checks do not
    /// count in `parallel_max`.
    pub start_checks_parallel_max: usize,
    /// Longest wait of a start check for a permit, and then for admission, in seconds each;
    /// after that the version goes live unchecked.
    pub start_check_room_wait_s: u64,
    /// Longest interval of passes without a change, in seconds.
    pub poll_interval_s: u64,
    /// Pause after a failed pass, in milliseconds.
    pub retry_pause_ms: u64,
    /// Time after a start for which images are kept although the database does not name their
    /// function or serve their version, in seconds: time to notice that the database is an older
    /// one, and to restore the right one.
    pub unknown_keep_s: u64,
    /// Interval of checks that the images of active versions are pinned and complete, in seconds;
    /// damage triggers a check at once.
    pub repair_interval_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            parallel_max: 256,
            start_checks_parallel_max: 16,
            start_check_room_wait_s: 30,
            poll_interval_s: 60,
            retry_pause_ms: 2_000,
            unknown_keep_s: 600,
            repair_interval_s: 600,
        }
    }
}

impl Config {
    pub(crate) fn start_check_room_wait(&self) -> Duration {
        Duration::from_secs(self.start_check_room_wait_s)
    }

    pub(crate) fn poll_interval(&self) -> Duration {
        // A zero would make the task spin.
        Duration::from_secs(self.poll_interval_s.max(1))
    }

    pub(crate) fn unknown_keep(&self) -> Duration {
        Duration::from_secs(self.unknown_keep_s)
    }

    pub(crate) fn repair_interval(&self) -> Duration {
        Duration::from_secs(self.repair_interval_s.max(1))
    }

    pub(crate) fn retry_pause(&self) -> Duration {
        Duration::from_millis(self.retry_pause_ms.max(1))
    }
}
