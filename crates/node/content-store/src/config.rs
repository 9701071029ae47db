//! Every limit of this crate, with its unit in the name.

use std::time::Duration;

/// Limits of a content store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Bytes of a manifest or an index.
    pub manifest_bytes_max: u64,
    /// Bytes of an image's config.
    pub config_bytes_max: u64,
    /// After a start nothing is collected for this long, in seconds.
    pub start_keep_s: u64,
    /// Bytes of damaged content that are set aside; the oldest goes first.
    pub quarantine_bytes_max: u64,
    /// What was verified, and nobody has written to since, is not read again for this long, in
    /// seconds.
    pub verified_keep_s: u64,
    /// Between two scrubs, in seconds; 0 for none.
    pub scrub_interval_s: u64,
}

impl Config {
    pub(crate) fn start_keep(&self) -> Duration {
        Duration::from_secs(self.start_keep_s)
    }
}
