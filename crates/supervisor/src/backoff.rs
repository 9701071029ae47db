//! Back-off between restarts of a task. Pure.

use std::time::Duration;

const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A task that ran for this long has recovered: its next panic counts as the first.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// Exponential back-off by panics in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    in_a_row: u32,
}

impl Backoff {
    /// The pause after a panic of a task that had run for `ran`.
    pub(crate) fn after(&mut self, ran: Duration) -> Duration {
        self.in_a_row = if ran >= RECOVERED_AFTER { 1 } else { self.in_a_row.saturating_add(1) };
        let doublings = (self.in_a_row - 1).min(16);
        (PAUSE_MIN * (1 << doublings)).min(PAUSE_MAX)
    }

    pub(crate) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_maximum_and_reset_after_a_minutes_run() {
        let mut backoff = Backoff::default();
        let mut pauses: Vec<u128> = (0..12).map(|_| backoff.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses.split_off(9), [30_000; 3]);
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600]);
        assert_eq!((backoff.after(RECOVERED_AFTER), backoff.in_a_row()), (PAUSE_MIN, 1));
    }
}
