//! Every limit of this crate, with its unit in the name.

use crate::AddressRange;

/// Limits of a registry client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Bytes of a manifest or an index.
    pub manifest_bytes_max: u64,
    /// Longest wait for a connection to a registry, in seconds.
    pub connect_timeout_s: u64,
    /// Longest silence of a registry within an answer, in seconds.
    pub read_idle_timeout_s: u64,
    /// Retries of one request, or of a blob without a byte of progress between them.
    pub retries_max: u32,
    /// First pause before a retry, in milliseconds; doubles with each.
    pub retry_pause_ms: u64,
    /// Longest pause before a retry, in milliseconds, unless a registry's Retry-After asks for
    /// more.
    pub retry_pause_ms_max: u64,
    /// Longest pause that a registry's Retry-After is given, in seconds; one that asks for more
    /// fails the image.
    pub retry_after_s_max: u64,
    /// Least bytes a second of a transfer, over `transfer_slow_s_max`; a slower one fails. Zero for
    /// any.
    pub transfer_bytes_per_s_min: u64,
    /// How long a transfer may be slower than that, in seconds.
    pub transfer_slow_s_max: u64,
    /// Redirects that one request follows.
    pub redirects_max: usize,
    /// Addresses and ranges of them that registries may lead to, by redirects and by naming token
    /// servers, though they are neither public nor the registry's own: a private registry's store
    /// of blobs, for example.
    pub redirects_allowed: Vec<AddressRange>,
    /// Addresses that registries may not lead to though they are public: `denied` of `[network]`.
    pub redirects_denied: Vec<AddressRange>,
    /// Registries (`host` or `host:port`) that are spoken to in plain HTTP. Loopback hosts always
    /// are.
    pub insecure_registries: Vec<String>,
    /// Bytes of an answer that is read for its words: errors and tokens.
    pub answer_bytes_max: u64,
    /// Longest time of an upload without a byte taken or an answer, in seconds.
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
