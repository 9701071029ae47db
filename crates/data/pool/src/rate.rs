//! How many instances are started in a minute.
//!
//! Pure: a window that slides with `now`, exact, and bounded by the limit that it keeps.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What the limits count over.
const WINDOW: Duration = Duration::from_secs(60);

/// Starts of the last minute.
#[derive(Debug)]
pub(crate) struct StartRate {
    max: u32,
    begun: VecDeque<Instant>,
}

impl StartRate {
    /// At most `max` in a minute; 0 is no limit.
    pub fn new(max: u32) -> Self {
        Self { max, begun: VecDeque::new() }
    }

    pub fn max(&self) -> u32 {
        self.max
    }

    /// How many may be begun now.
    pub fn free(&mut self, now: Instant) -> usize {
        if self.max == 0 {
            return usize::MAX;
        }
        while self.begun.front().is_some_and(|begun| now.saturating_duration_since(*begun) >= WINDOW) {
            self.begun.pop_front();
        }
        (self.max as usize).saturating_sub(self.begun.len())
    }

    /// Counts one.
    pub fn take(&mut self, now: Instant) {
        if self.max > 0 {
            self.begun.push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_allowed_are_begun_in_any_minute() {
        let (mut rate, begin) = (StartRate::new(3), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        for second in [0, 10, 20] {
            assert!(rate.free(at(second)) > 0);
            rate.take(at(second));
        }
        assert_eq!(rate.free(at(59)), 0);
        assert_eq!(rate.free(at(60)), 1);
        rate.take(at(60));
        assert_eq!((rate.free(at(69)), rate.free(at(70))), (0, 1));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let mut rate = StartRate::new(0);
        rate.take(Instant::now());
        assert_eq!(rate.free(Instant::now()), usize::MAX);
        assert!(rate.begun.is_empty());
    }
}
