//! Limits of the store: the `[store]` table of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `[store]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Namespaces, `default` included.
    pub namespaces_max: u32,
    /// Functions of one namespace. The hosted service allows 50, because its machines are shared.
    pub functions_per_namespace_max: u32,
    /// Published versions that a function may have at once.
    pub versions_per_function_max: u32,
    /// Aliases of one function, `$DEFAULT` included.
    pub aliases_per_function_max: u32,
    /// Memory that reservations must leave of the installation's quota for functions without a
    /// reservation, in MB; a tenth of the quota where that is less.
    pub shared_mb_min: u64,
    /// Custom domains.
    pub domains_max: u32,
    /// Bytes of a custom domain as JSON: its endpoints with their rules, and its labels.
    pub domain_bytes_max: usize,
    /// Triggers of one kind per function.
    pub triggers_per_kind_max: u32,
    /// Bytes of a version's configuration as JSON: environment, image, and the API objects stored
    /// with it.
    pub spec_bytes_max: usize,
    /// Writes that may run or wait at the same time; further ones are refused.
    pub writes_waiting_max: usize,
    /// Read connections.
    pub readers_max: u32,
    /// Longest wait for a read connection, in milliseconds.
    pub read_wait_ms_max: u64,
    /// Longest wait for a lock that another process holds on the database file (a backup, a shell),
    /// in milliseconds.
    pub busy_timeout_ms: u64,
    /// Bytes of a preparation's progress text; longer texts are truncated.
    pub progress_bytes_max: usize,
    /// Number of the newest change sets of the catalog that are kept for readers; a reader that is
    /// further behind compares every function.
    pub change_sets_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespaces_max: types::limits::NAMESPACES_MAX as u32,
            functions_per_namespace_max: 10_000,
            versions_per_function_max: types::limits::VERSIONS_MAX as u32,
            aliases_per_function_max: 1_000,
            shared_mb_min: types::limits::SHARED_MB_MIN,
            domains_max: 1_000,
            domain_bytes_max: 64 * 1024,
            triggers_per_kind_max: types::wire::TRIGGERS_PER_TYPE,
            spec_bytes_max: 256 * 1024,
            writes_waiting_max: 1024,
            readers_max: 4,
            read_wait_ms_max: 10_000,
            busy_timeout_ms: 5_000,
            progress_bytes_max: 500,
            change_sets_max: 256,
        }
    }
}

impl Config {
    /// Part of a quota that reservations must leave free.
    pub(crate) fn shared_mb_min(&self, quota_mb: u64) -> u64 {
        self.shared_mb_min.min(quota_mb / 10)
    }

    pub(crate) fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms)
    }

    pub(crate) fn read_wait_max(&self) -> Duration {
        Duration::from_millis(self.read_wait_ms_max)
    }
}
