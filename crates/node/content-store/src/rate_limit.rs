//! Rate limit of reads for verification: a rate that leaves the disk to others, or none if a caller
//! waits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Longest sleep between two checks for a stop or a lifted limit.
const NAP_MAX: Duration = Duration::from_millis(50);

/// The rate of one scrub or check.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Bytes per second; 0 without a limit.
    bytes_per_s: AtomicU64,
    stopped: AtomicBool,
    /// Bytes read so far.
    read: AtomicU64,
}

impl RateLimit {
    /// Without a limit.
    pub(crate) fn unbounded() -> Self {
        Self::of(0)
    }

    /// Limits to a number of bytes per second; 0 for no limit.
    pub(crate) fn of(bytes_per_s: u64) -> Self {
        Self { bytes_per_s: AtomicU64::new(bytes_per_s), stopped: AtomicBool::new(false), read: AtomicU64::new(0) }
    }

    /// Removes the limit.
    pub(crate) fn lift(&self) {
        self.bytes_per_s.store(0, Ordering::Relaxed);
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether a limit applies: reads then leave no page cache behind, so other work is not
    /// affected.
    pub(crate) fn is_bounded(&self) -> bool {
        self.bytes_per_s.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Accounts for read bytes, and sleeps as long as the rate requires; false when stopped.
    pub(crate) fn spend(&self, bytes: u64) -> bool {
        self.read.fetch_add(bytes, Ordering::Relaxed);
        let mut owed = Duration::ZERO;
        loop {
            let rate = self.bytes_per_s.load(Ordering::Relaxed);
            if self.is_stopped() {
                return false;
            }
            // Without a rate there is no delay.
            let due = Duration::from_micros(bytes.saturating_mul(1_000_000).checked_div(rate).unwrap_or_default());
            if owed >= due {
                return true;
            }
            let nap = (due - owed).min(NAP_MAX);
            std::thread::sleep(nap);
            owed += nap;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_counts_and_ends() {
        let rate_limit = RateLimit::of(1);
        rate_limit.lift();
        assert!(rate_limit.spend(1 << 40), "no bound is left");
        assert_eq!(rate_limit.read_bytes(), 1 << 40);
        let rate_limit = RateLimit::of(1);
        rate_limit.stop();
        assert!(!rate_limit.spend(1 << 40));
    }
}
