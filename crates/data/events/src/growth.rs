//! When the kept results are to be counted again.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// The part of `results_bytes_max` by which results grow before they are counted again.
const GROWTH_SHARE: u64 = 16;

/// Bytes of results that were added since all of them were counted.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    bytes: AtomicU64,
    /// Signalled when they are to be counted before the next pruning is due.
    pub(crate) large: Notify,
}

impl Growth {
    /// Counts a committed result of that size.
    pub(crate) fn added(&self, bytes: u64, results_bytes_max: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) >= results_bytes_max / GROWTH_SHARE {
            self.large.notify_one();
        }
    }

    /// Resets the growth, before all results are counted.
    pub(crate) fn reset(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn results_are_counted_again_when_they_have_grown_by_a_share_of_the_bound() {
        let growth = Growth::default();
        growth.added(999, 16_000);
        let early = tokio::time::timeout(Duration::ZERO, growth.large.notified()).await;
        assert!(early.is_err());
        growth.added(1, 16_000);
        growth.large.notified().await;
    }
}
