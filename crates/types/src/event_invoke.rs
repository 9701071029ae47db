//! How asynchronous events of a function are retried and given up.

use crate::limits::{EVENT_RETRIES_DEFAULT, EVENT_TTL_S_DEFAULT};

/// `AsyncTriggerConfig` of a function; holds for events from their acceptance on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventInvokeConfig {
    /// Runs that follow one which failed in the function (`RetryNum`).
    pub retries_max: u32,
    /// Seconds after which an event that waits is given up (`MsgTTL`).
    pub ttl_s: u32,
}

impl Default for EventInvokeConfig {
    fn default() -> Self {
        Self { retries_max: EVENT_RETRIES_DEFAULT, ttl_s: EVENT_TTL_S_DEFAULT }
    }
}
