//! Retries and maximum age of a function's asynchronous events.

use crate::limits::{EVENT_RETRIES_DEFAULT, EVENT_TTL_S_DEFAULT};

/// `AsyncTriggerConfig` of a function; fixed for an event at its acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventInvokeConfig {
    /// Retries after a run that failed in the function (`RetryNum`).
    pub retries_max: u32,
    /// Seconds after which a waiting event is given up (`MsgTTL`).
    pub ttl_s: u32,
}

impl Default for EventInvokeConfig {
    fn default() -> Self {
        Self { retries_max: EVENT_RETRIES_DEFAULT, ttl_s: EVENT_TTL_S_DEFAULT }
    }
}
