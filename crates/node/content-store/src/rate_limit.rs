//! How fast content is read for being checked: a rate that leaves the disk to others, or none where
//! a caller waits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Longest sleep between two looks whether to stop or to hurry.
const NAP_MAX: Duration = Duration::from_millis(50);

/// The rate of one scrub or check.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Bytes in a second; 0 for no bound.
    bytes_per_s: AtomicU64,
    stopped: AtomicBool,
    /// Bytes read so far.
    read: AtomicU64,
}

impl RateLimit {
    /// As fast as the disk is.
    pub(crate) fn unbounded() -> Self {
        Self::of(0)
    }

    /// At most so many bytes in a second; 0 for no bound.
    pub(crate) fn of(bytes_per_s: u64) -> Self {
        Self { bytes_per_s: AtomicU64::new(bytes_per_s), stopped: AtomicBool::new(false), read: AtomicU64::new(0) }
    }

    /// Takes the bound away.
    pub(crate) fn lift(&self) {
        self.bytes_per_s.store(0, Ordering::Relaxed);
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether others shall notice nothing: what is read needs no place in the page cache.
    pub(crate) fn is_bounded(&self) -> bool {
        self.bytes_per_s.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Accounts for bytes that were read, and waits as long as they are worth; false when it is
    /// over.
    pub(crate) fn spend(&self, bytes: u64) -> bool {
        self.read.fetch_add(bytes, Ordering::Relaxed);
        let mut owed = Duration::ZERO;
        loop {
            let rate = self.bytes_per_s.load(Ordering::Relaxed);
            if self.is_stopped() {
                return false;
            }
            // Without a rate nothing is owed.
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
