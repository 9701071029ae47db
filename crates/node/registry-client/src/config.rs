//! Every limit of this crate, with its unit in the name.

use crate::AddressRange;

/// Limits of a registry client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Bytes of a manifest or an index.
    pub manifest_bytes_max: u64,
    /// Longest wait for a connection to a registry, in seconds.
    pub connect_timeout_s: u64,
    /// Longest silence of a registry within a response, in seconds.
    pub read_idle_timeout_s: u64,
    /// Retries of one request, or of a blob without progress between them.
    pub retries_max: u32,
    /// First pause before a retry, in milliseconds; doubles with each.
    pub retry_pause_ms: u64,
    /// Longest pause before a retry, in milliseconds, unless a registry's Retry-After is longer.
    pub retry_pause_ms_max: u64,
    /// Longest Retry-After of a registry that is honoured, in seconds; a longer one fails the
    /// image.
    pub retry_after_s_max: u64,
    /// Minimum rate of a transfer in bytes per second, over `transfer_slow_s_max`; a slower one
    /// fails. Zero disables it.
    pub transfer_bytes_per_s_min: u64,
    /// Time for which a transfer may be below that rate, in seconds.
    pub transfer_slow_s_max: u64,
    /// Maximum number of redirects of one request.
    pub redirects_max: usize,
    /// Addresses and ranges that registries may refer to, by redirects and token servers, although
    /// they are neither public nor the registry's own: a private registry's blob storage, for
    /// example.
    pub redirects_allowed: Vec<AddressRange>,
    /// Public addresses that registries may not refer to: `denied` of `[network]`.
    pub redirects_denied: Vec<AddressRange>,
    /// Registries (`host` or `host:port`) that are accessed by plain HTTP. Loopback hosts always
    /// are.
    pub insecure_registries: Vec<String>,
    /// Bytes of a response that is parsed: errors and tokens.
    pub answer_bytes_max: u64,
    /// Longest time of an upload without a byte sent or a response, in seconds.
    pub push_stall_s_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            manifest_bytes_max: 4 << 20,
            connect_timeout_s: 10,
            read_idle_timeout_s: 60,
            retries_max: 5,
            retry_pause_ms: 200,
            retry_pause_ms_max: 30_000,
            retry_after_s_max: 300,
            transfer_bytes_per_s_min: 10_000,
            transfer_slow_s_max: 60,
            redirects_max: 10,
            redirects_allowed: Vec::new(),
            redirects_denied: Vec::new(),
            insecure_registries: Vec::new(),
            answer_bytes_max: 64 << 10,
            push_stall_s_max: 300,
        }
    }
}
