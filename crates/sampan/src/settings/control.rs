//! Table `[control]` of the settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Table `[control]`: limits of the control address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// Most open connections. A new connection beyond this closes the longest idle one of the
    /// client network with the most connections.
    pub connections_max: usize,
    /// Pause after a failed accept(2), and between attempts to find room in a full connection
    /// table, in milliseconds.
    pub accept_retry_ms: u64,
    /// Timeout from a request's first byte (or the connection's opening) to the end of its headers,
    /// in seconds.
    pub header_read_timeout_s: u64,
    /// Idle timeout of a connection, in seconds.
    pub idle_timeout_s: u64,
    /// Longest request line and headers, in bytes, at least 8 KiB.
    pub request_head_bytes_max: u32,
    /// Most concurrent requests of an HTTP/2 connection.
    pub h2_streams_max: u32,
    /// Burst of HTTP/2 frames without content; a connection with more is closed.
    pub h2_control_frames_max: u32,
    /// Rate of HTTP/2 frames without content, in frames a second.
    pub h2_control_frames_per_s_max: u32,
    /// Access to `/metrics`: `anyone`, `loopback` (this machine, or with a key) or `key`.
    pub metrics: MetricsAccess,
    /// File with a bearer token for `/metrics`, accepted beside the key pair; read once at the
    /// start.
    pub metrics_token_file: Option<PathBuf>,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            accept_retry_ms: 50,
            header_read_timeout_s: 10,
            idle_timeout_s: 75,
            request_head_bytes_max: 64 * 1024,
            h2_streams_max: 64,
            h2_control_frames_max: 2_000,
            h2_control_frames_per_s_max: 500,
            metrics: MetricsAccess::Anyone,
            metrics_token_file: None,
        }
    }
}

/// Clients that may read metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricsAccess {
    /// Every client of the control address.
    Anyone,
    /// Clients on this machine, and those with a key.
    Loopback,
    /// Clients with a key: the key pair as user and password, or the token in `metrics_token_file`.
    Key,
}
