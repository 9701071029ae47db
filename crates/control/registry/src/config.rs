//! Limits of the registry: table `[registry]` of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether pulls need no login. Pushing always needs the key pair.
    pub anonymous_pull: bool,
    /// Lifetime of a token, in seconds. Clients renew tokens by themselves.
    pub token_ttl_s: u64,
    /// Most scopes in a request for a token.
    pub token_scopes_max: usize,
    /// Longest request for a token, in bytes.
    pub token_request_bytes_max: u64,
    /// Most token requests whose bodies are being read; their senders are not authenticated.
    pub token_requests_max: usize,
    /// Timeout of receiving such a body, in seconds.
    pub token_request_wait_s: u64,
    /// Largest manifest, in bytes.
    pub manifest_bytes_max: u64,
    /// Largest blob, in bytes.
    pub blob_bytes_max: u64,
    /// Most open upload sessions, over all repositories.
    pub uploads_max: usize,
    /// Idle timeout of an upload session, in seconds; its upload is dropped.
    pub upload_idle_s: u64,
    /// Idle timeout of a request body, in seconds.
    pub body_idle_s: u64,
    /// Timeout of unacknowledged response bytes, in seconds; the connection is closed. Applies to
    /// everything served on the control address.
    pub download_idle_s: u64,
    /// Most names in one page of a list (tags, repositories, referrers); `Link` leads to the next.
    pub page_len_max: usize,
    /// Time after which a blob that no manifest of its repository names is removed, since it was
    /// last pushed or requested, in seconds. Must exceed the slowest push.
    pub unreferenced_blob_keep_s: u64,
    /// Time after which a manifest without a tag, index or function is removed, since its push or
    /// its last lost tag, in seconds; 0 keeps it for ever. Swept once an hour.
    pub untagged_keep_s: u64,
    /// Interval of sweeps for idle uploads and unreferenced blobs, in seconds.
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

    /// `None` for no removal.
    pub(crate) fn untagged_keep(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.untagged_keep_s)).filter(|keep| !keep.is_zero())
    }

    /// At least one: a zero interval would spin.
    pub(crate) fn sweep_period(&self) -> Duration {
        Duration::from_secs(self.sweep_period_s.max(1))
    }
}
