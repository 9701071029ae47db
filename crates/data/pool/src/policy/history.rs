//! The history of one version: its forecast, and how long starts and leases took; outlives its
//! instances.

use std::time::Duration;

use crate::policy::forecast::Forecast;

/// A lower bound of every duration here.
const MOMENT: Duration = Duration::from_millis(1);

/// The history of one version.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub forecast: Forecast,
    starts: Mean,
    leases: Mean,
}

/// A moving mean that favours recent values.
#[derive(Debug, Clone, Copy, Default)]
struct Mean(Option<Duration>);

impl Mean {
    /// The divisor of one value's weight.
    const SHARE: u32 = 4;

    fn add(&mut self, one: Duration) {
        self.0 = Some(self.0.map_or(one, |mean| mean - mean / Self::SHARE + one / Self::SHARE));
    }
}

impl History {
    /// Carries the history over to new instances: none is in use yet.
    #[must_use]
    pub fn resumed(self) -> Self {
        Self { forecast: self.forecast.resumed(), ..self }
    }

    /// Records the duration of a start.
    pub fn start_took(&mut self, took: Duration) {
        self.starts.add(took);
    }

    /// Records the duration of a lease.
    pub fn lease_was_out(&mut self, out: Duration) {
        self.leases.add(out);
    }

    /// The expected duration of a start; zero before the first one.
    pub fn start(&self) -> Duration {
        self.starts.0.unwrap_or_default()
    }

    /// How long a request for which no start was begun waits before a start is considered again.
    pub fn patience(&self) -> Duration {
        self.start().max(MOMENT)
    }

    /// How many of the leases that are `out` are likely to return within the time of a start. When
    /// a request has waited during all of `queued`, instances are missing, and the likelihood is
    /// discounted more and more.
    pub fn likely(&self, out: u32, queued: Duration) -> u64 {
        let (Some(start), Some(lease)) = (self.starts.0, self.leases.0) else { return 0 };
        let start = start.max(MOMENT);
        let confidence = (1.0 - queued.div_duration_f64(start)).max(0.0);
        (f64::from(out) * start.div_duration_f64(lease.max(MOMENT)) * confidence) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_leases_return_within_a_long_start_and_long_ones_do_not() {
        let s = Duration::from_secs;
        let mut history = History::default();
        assert_eq!(history.likely(10, Duration::ZERO), 0, "nothing is known");
        history.start_took(s(4));
        history.lease_was_out(s(2));
        assert_eq!([0, 1, 10].map(|out| history.likely(out, Duration::ZERO)), [0, 2, 20]);
        assert_eq!([2, 4, 100].map(|queued| history.likely(10, s(queued))), [10, 0, 0]);
        (0..100).for_each(|_| history.lease_was_out(s(80)));
        assert_eq!(history.likely(10, Duration::ZERO), 0);
        history.start_took(s(8));
        assert_eq!(history.start(), s(5));
    }
}
