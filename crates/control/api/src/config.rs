//! Limits of the API: table `[api]` of the configuration.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::limits;

use types::UtcOffset;

/// The `[api]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Offset from UTC of the times in requests and answers, such as `+08:00`.
    pub utc_offset: UtcOffset,
    /// Largest difference between the time of a signature and the server's, in seconds.
    pub clock_window_s: u64,
    /// Longest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// Longest body of a request with an older signature (HmacSHA1, HmacSHA256), in bytes.
    pub v1_body_bytes_max: usize,
    /// Longest query of a GET, in bytes.
    pub query_bytes_max: usize,
    /// Timeout of receiving a body, in milliseconds.
    pub body_wait_ms_max: u64,
    /// The same for a body that contains its signature (HmacSHA1, HmacSHA256), which
    /// unauthenticated clients can send.
    pub unsigned_body_wait_ms_max: u64,
    /// Bytes of an oversized body that are read and discarded, so that the client reads the answer.
    pub discarded_bytes_max: usize,
    /// Longest time for discarding the body of a refused request, in milliseconds.
    pub discard_ms_max: u64,
    /// Longest pause in such a body, in milliseconds.
    pub discard_pause_ms_max: u64,
    /// Bytes of the received bodies of all calls in flight; further calls are refused. A call
    /// counts for at least 64 KiB, so this also bounds the number of calls.
    pub held_bytes_max: usize,
    /// The same for bodies that contain their signature, until it is verified.
    pub unsigned_held_bytes_max: usize,
    /// Longest wait of `Invoke` and `InvokeFunction` for a result, in seconds; the run continues.
    pub invoke_wait_s_max: u64,
    /// Bytes of all environment variables of a function, names and values together.
    pub environment_bytes_max: usize,
    /// Most endpoints of a custom domain.
    pub domain_endpoints_max: usize,
    /// Most path rewrite rules of an endpoint.
    pub endpoint_rewrites_max: usize,
    /// Most entries of a list in one answer.
    pub page_len_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            utc_offset: UtcOffset::CHINA,
            clock_window_s: 300,
            body_bytes_max: 10 << 20,
            v1_body_bytes_max: 1 << 20,
            query_bytes_max: 32 << 10,
            body_wait_ms_max: 60_000,
            unsigned_body_wait_ms_max: 5_000,
            discarded_bytes_max: 64 << 20,
            discard_ms_max: 1_000,
            discard_pause_ms_max: 50,
            held_bytes_max: 256 << 20,
            unsigned_held_bytes_max: 4 << 20,
            invoke_wait_s_max: limits::INVOKE_WAIT_S_MAX,
            environment_bytes_max: limits::ENVIRONMENT_BYTES_MAX,
            domain_endpoints_max: 100,
            endpoint_rewrites_max: 20,
            page_len_max: 1000,
        }
    }
}

impl Config {
    pub(crate) fn invoke_wait_max(&self) -> Duration {
        Duration::from_secs(self.invoke_wait_s_max)
    }
}
