//! Limits of the registry, as they stand in the `[registry]` table. Must not know where they come from.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Every limit of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether anyone who reaches the address may pull without logging in. Pushing always needs the key pair.
    pub anonymous_pull: bool,
    /// How long a token is accepted, in seconds. A client asks for the next one by itself.
    pub token_ttl_s: u64,
    /// Scopes that one token may be asked for.
    pub token_scopes_max: usize,
    /// Bytes of a request for a token.
    pub token_request_bytes_max: u64,
    /// Requests for tokens whose bodies arrive at once; anyone may begin one.
    pub token_requests_max: usize,
    /// Longest time in which such a body must have arrived, in seconds.
    pub token_request_wait_s: u64,
    /// Bytes of one manifest.
    pub manifest_bytes_max: u64,
    /// Bytes of one blob.
    pub blob_bytes_max: u64,
    /// Upload sessions open at once, over all repositories.
    pub uploads_max: usize,
    /// How long an upload session waits for its next request before it is dropped with what it holds, in seconds.
    pub upload_idle_s: u64,
    /// How long a request body may stand still before the request is given up, in seconds.
    pub body_idle_s: u64,
    /// How long a client may take nothing of an answer that waits to be sent before its connection is closed, in
    /// seconds. Holds for everything that is served beside the registry.
    pub download_idle_s: u64,
    /// Names in one answer of a list (tags, repositories, referrers); the rest is behind its `Link`.
    pub page_len_max: usize,
    /// How long a blob that no manifest of its repository names stays there after it was last pushed or asked for, in
    /// seconds. Long enough for the slowest push to reach its manifest.
    pub unreferenced_blob_keep_s: u64,
    /// How long a manifest stays after it was pushed or lost its last tag, when no tag, index or function leads to it any
    /// more, in seconds; 0 keeps it for ever. Looked for once an hour.
    pub untagged_keep_s: u64,
    /// Time between two sweeps for idle uploads and unreferenced blobs, in seconds.
    pub sweep_period_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            anonymous_pull: false,
            token_ttl_s: 300,
            token_scopes_max: 64,
            token_request_bytes_max: 64 * 1024,
            token_requests_max: 32,
            token_request_wait_s: 5,
            manifest_bytes_max: 4 * 1024 * 1024,
            blob_bytes_max: 10 * 1024 * 1024 * 1024,
            uploads_max: 256,
            upload_idle_s: 900,
            body_idle_s: 60,
            download_idle_s: 60,
            page_len_max: 1000,
            unreferenced_blob_keep_s: 24 * 3600,
            untagged_keep_s: 30 * 24 * 3600,
            sweep_period_s: 60,
        }
    }
}

impl Config {
    pub(crate) fn upload_idle(&self) -> Duration {
        Duration::from_secs(self.upload_idle_s)
    }

    pub(crate) fn body_idle(&self) -> Duration {
        Duration::from_secs(self.body_idle_s)
    }

    pub(crate) fn token_request_wait(&self) -> Duration {
        Duration::from_secs(self.token_request_wait_s)
    }

    pub(crate) fn download_idle(&self) -> Duration {
        Duration::from_secs(self.download_idle_s)
    }

    pub(crate) fn unreferenced_blob_keep(&self) -> Duration {
        Duration::from_secs(self.unreferenced_blob_keep_s)
    }

    /// `None` for ever.
    pub(crate) fn untagged_keep(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.untagged_keep_s)).filter(|keep| !keep.is_zero())
    }

    /// Never zero: an interval of nothing would spin.
    pub(crate) fn sweep_period(&self) -> Duration {
        Duration::from_secs(self.sweep_period_s.max(1))
    }
}
