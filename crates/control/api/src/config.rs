//! Limits of the API, as the `[api]` table of the configuration has them.

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
    /// How far the time of a signature may be from the server's, in seconds.
    pub clock_window_s: u64,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Bytes of the body of a request with an older signature (HmacSHA1, HmacSHA256).
    pub v1_body_bytes_max: usize,
    /// Bytes of the query of a GET.
    pub query_bytes_max: usize,
    /// Longest time in which a body must have arrived, in milliseconds.
    pub body_wait_ms_max: u64,
    /// The same for a body whose signature is in it (HmacSHA1, HmacSHA256), which anyone may begin
    /// to send.
    pub unsigned_body_wait_ms_max: u64,
    /// Bytes of a body over its limit that are read and thrown away, so that the client is there to
    /// read the answer.
    pub discarded_bytes_max: usize,
    /// Longest time for which the body of a refused request is read and thrown away, in
    /// milliseconds.
    pub discard_ms_max: u64,
    /// Longest pause in such a body, in milliseconds.
    pub discard_pause_ms_max: u64,
    /// Bytes of the bodies of all calls under way together, as far as they arrived; further calls
    /// are refused. A call counts for 64 KiB at least, so this bounds their number too.
    pub held_bytes_max: usize,
    /// The same for bodies whose signature is in them, until it was checked.
    pub unsigned_held_bytes_max: usize,
    /// Longest that `Invoke` and `InvokeFunction` wait for an answer, in seconds; the run goes on.
    pub invoke_wait_s_max: u64,
    /// Bytes of all environment variables of a function, names and values.
    pub environment_bytes_max: usize,
    /// Endpoints of a custom domain.
    pub domain_endpoints_max: usize,
    /// Rules that rewrite the paths of an endpoint.
    pub endpoint_rewrites_max: usize,
    /// Entries of a list in one answer.
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
