//! How many events of one function run at a time: additive increase, multiplicative decrease.

/// Initial concurrency of a function.
const START: f64 = 8.0;
/// Factor after a run found no room.
const DECREASE: f64 = 0.5;

/// The concurrency of one function. A run that succeeds raises it by one per window; a run that
/// found no quota (429, 432, 449) halves it, so that synchronous calls find room.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Concurrency {
    limit: f64,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { limit: START }
    }
}

impl Concurrency {
    /// Concurrent runs.
    pub(crate) fn limit(self, max: usize) -> usize {
        (self.limit as usize).clamp(1, max.max(1))
    }

    /// Records a successful run.
    pub(crate) fn raise(&mut self, max: usize) {
        self.limit = (self.limit + 1.0 / self.limit).min(max.max(1) as f64);
    }

    /// Records a run without room.
    pub(crate) fn lower(&mut self) {
        self.limit = (self.limit * DECREASE).max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_raises_by_one_a_window_up_to_the_bound() {
        let mut of = Concurrency::default();
        (0..9).for_each(|_| of.raise(100));
        assert_eq!(of.limit(100), 9);
        (0..100_000).for_each(|_| of.raise(100));
        assert_eq!(of.limit(100), 100);
    }

    #[test]
    fn want_of_quota_halves_down_to_one() {
        let mut of = Concurrency::default();
        of.lower();
        assert_eq!(of.limit(100), 4);
        (0..10).for_each(|_| of.lower());
        assert_eq!(of.limit(100), 1);
    }
}
