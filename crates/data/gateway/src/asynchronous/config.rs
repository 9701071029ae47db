//! Settings of asynchronous calls: table `[gateway.async]`.

use serde::{Deserialize, Serialize};

/// Limits of `/async/`, besides those of the event queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AsyncConfig {
    /// Longest body of a request to a web function, in bytes; longer ones get 413. The events of
    /// event functions have the contract's limit, 128 KiB.
    pub body_bytes_max: usize,
    /// Received bytes of the bodies of all requests in flight; further requests get 429.
    pub held_bytes_max: usize,
    /// Requests per second, of all functions together; more get 429.
    pub requests_per_s_max: u32,
    /// Requests per second of one function.
    pub function_requests_per_s_max: u32,
    /// Bytes of bodies per second, of all functions together; more get 429.
    pub bytes_per_s_max: u32,
    /// Bytes of bodies per second of one function.
    pub function_bytes_per_s_max: u32,
    /// Longest `X-Delay-Seconds`.
    pub delay_s_max: u32,
    /// Longest `Idempotency-Key`, in bytes.
    pub idempotency_key_bytes_max: usize,
}

impl Default for AsyncConfig {
    fn default() -> Self {
        Self {
            body_bytes_max: 6 << 20,
            held_bytes_max: 256 << 20,
            requests_per_s_max: 20_000,
            function_requests_per_s_max: 10_000,
            bytes_per_s_max: 256 << 20,
            function_bytes_per_s_max: 128 << 20,
            delay_s_max: 7 * 24 * 3600,
            idempotency_key_bytes_max: 255,
        }
    }
}

/// A setting with which no call would be accepted, or that exceeds what can be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value} is not allowed; use {min} to {max}")]
pub struct InvalidSetting {
    key: &'static str,
    value: u64,
    min: u64,
    max: u64,
}

/// Highest body limit: a stored request is one row, and one claim reads it into memory.
const BODY_BYTES_MAX: u64 = 32 << 20;
/// Longest delay: a hundred years of seconds is more than `u32` holds.
const DELAY_S_MAX: u64 = u32::MAX as u64 / 2;
/// Longest key; each is stored in its own row.
const KEY_BYTES_MAX: u64 = 4096;

impl AsyncConfig {
    /// Refuses values with which no call would be accepted.
    ///
    /// # Errors
    /// The first invalid key, and its bounds.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let (any, u32_max) = (u64::MAX, u64::from(u32::MAX));
        let bounds = [
            ("gateway.async.body_bytes_max", self.body_bytes_max as u64, 1, BODY_BYTES_MAX),
            ("gateway.async.held_bytes_max", self.held_bytes_max as u64, self.body_bytes_max as u64, any),
            ("gateway.async.requests_per_s_max", self.requests_per_s_max.into(), 1, u32_max),
            ("gateway.async.function_requests_per_s_max", self.function_requests_per_s_max.into(), 1, u32_max),
            ("gateway.async.bytes_per_s_max", self.bytes_per_s_max.into(), 1, u32_max),
            ("gateway.async.function_bytes_per_s_max", self.function_bytes_per_s_max.into(), 1, u32_max),
            ("gateway.async.delay_s_max", self.delay_s_max.into(), 0, DELAY_S_MAX),
            ("gateway.async.idempotency_key_bytes_max", self.idempotency_key_bytes_max as u64, 1, KEY_BYTES_MAX),
        ];
        match bounds.into_iter().find(|(_, value, min, max)| !(*min..=*max).contains(value)) {
            Some((key, value, min, max)) => Err(InvalidSetting { key, value, min, max }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_which_nothing_would_be_accepted_are_refused_by_name() {
        assert_eq!(AsyncConfig::default().check(), Ok(()));
        let refused = |config: AsyncConfig| config.check().expect_err("refused").to_string();
        let none = AsyncConfig { requests_per_s_max: 0, ..AsyncConfig::default() };
        assert_eq!(refused(none), "gateway.async.requests_per_s_max = 0 is not allowed; use 1 to 4294967295");
        let held = AsyncConfig { held_bytes_max: 1, ..AsyncConfig::default() };
        assert!(refused(held).starts_with("gateway.async.held_bytes_max = 1 is not allowed; use 6291456 to"));
    }
}
