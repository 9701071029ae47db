//! Limits of deploying, as the `[deploy]` table of the configuration has them. How long one
//! preparation may take is a limit of `[image]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `[deploy]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Versions that are prepared, or wait for their turn to be, at the same time; further ones
    /// wait for them, whatever holds them up. What each registry and this machine do at once are
    /// limits of `[image]`.
    pub parallel_max: usize,
    /// Start checks at the same time; further ones wait, as for room. Less than the starts that the
    /// pool has at once, so that servers that never listen hold up no calls; they do not count in
    /// `parallel_max`.
    pub start_checks_parallel_max: usize,
    /// How long a start check waits for its turn, and then for room, in seconds; after that the
    /// version goes live unchecked.
    pub start_check_room_wait_s: u64,
    /// Between two passes when nothing changes, in seconds.
    pub poll_interval_s: u64,
    /// Pause before the next pass after one that failed, in milliseconds.
    pub retry_pause_ms: u64,
    /// How long after a start images are kept that the database does not name, of functions that it
    /// does not know and of versions that it does not serve, in seconds: time to notice that it is
    /// an older one, and to restore the right one.
    pub unknown_keep_s: u64,
    /// Between two looks whether the images of active versions are kept and whole, in seconds;
    /// damage that is found begins one at once.
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
