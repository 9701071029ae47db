//! Every limit of this crate, with its unit in the name.

use std::time::Duration;

/// Limits of a content store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Bytes of a manifest or an index.
    pub manifest_bytes_max: u64,
    /// Bytes of an image's config.
    pub config_bytes_max: u64,
    /// Seconds after a start without garbage collection.
    pub start_keep_s: u64,
    /// Bytes of quarantined content; the oldest is removed first.
    pub quarantine_bytes_max: u64,
    /// Seconds for which verified content that was not written to since is not read again.
    pub verified_keep_s: u64,
    /// Seconds between two scrubs; 0 for none.
    pub scrub_interval_s: u64,
}

impl Config {
    pub(crate) fn start_keep(&self) -> Duration {
        Duration::from_secs(self.start_keep_s)
    }
}
