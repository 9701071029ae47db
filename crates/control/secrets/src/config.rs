//! Limits of secrets.

use serde::{Deserialize, Serialize};
use store::SecretLimits;

/// Table `[secrets]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Secrets of the installation.
    pub secrets_max: usize,
    /// Versions of one secret; the oldest goes that no function is pinned to.
    pub versions_max: usize,
    /// Longest value, in bytes.
    pub value_bytes_max: usize,
    /// Bytes of all values together, which are kept in memory, sealed.
    pub bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { secrets_max: 1_000, versions_max: 20, value_bytes_max: 64 << 10, bytes_max: 16 << 20 }
    }
}

impl Config {
    pub(crate) fn limits(&self) -> SecretLimits {
        SecretLimits { secrets_max: self.secrets_max, versions_max: self.versions_max, bytes_max: self.bytes_max }
    }
}
