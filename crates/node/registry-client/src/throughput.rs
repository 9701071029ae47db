//! Minimum throughput of a transfer, computed from time and bytes; a slower one fails.

use std::time::Duration;

use tokio::time::Instant;

use crate::Config;

/// The minimum rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThroughputMin {
    /// Bytes per second; zero disables it.
    pub bytes_per_s_min: u64,
    /// Interval of measurement.
    pub over: Duration,
}

/// Bytes received in the current interval.
#[derive(Debug)]
pub(crate) struct Throughput {
    limit: ThroughputMin,
    begun: Instant,
    bytes: u64,
}

/// The rate was below the minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSlow {
    pub bytes_per_s: u64,
}

impl ThroughputMin {
    pub(crate) fn new(config: &Config) -> Self {
        let over = Duration::from_secs(config.transfer_slow_s_max.max(1));
        Self { bytes_per_s_min: config.transfer_bytes_per_s_min, over }
    }
}

impl Throughput {
    pub(crate) fn new(limit: ThroughputMin, now: Instant) -> Self {
        Self { limit, begun: now, bytes: 0 }
    }

    /// Time of the next check at the latest.
    pub(crate) fn deadline(&self) -> Instant {
        self.begun + self.limit.over
    }

    /// Counts received bytes; checks the rate at the end of each interval.
    pub(crate) fn add(&mut self, bytes: usize, now: Instant) -> Result<(), TooSlow> {
        self.bytes += bytes as u64;
        if now < self.deadline() {
            return Ok(());
        }
        let elapsed_ms = u64::try_from((now - self.begun).as_millis()).unwrap_or(u64::MAX).max(1);
        let bytes_per_s = self.bytes.saturating_mul(1000) / elapsed_ms;
        (self.begun, self.bytes) = (now, 0);
        if bytes_per_s < self.limit.bytes_per_s_min { Err(TooSlow { bytes_per_s }) } else { Ok(()) }
    }

    /// Excludes a time in which no bytes were requested.
    pub(crate) fn leave_out(&mut self, time: Duration) {
        self.begun += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: ThroughputMin = ThroughputMin { bytes_per_s_min: 100, over: Duration::from_secs(60) };

    #[test]
    fn what_is_slower_than_the_limit_for_its_whole_time_is_told() {
        let begun = Instant::now();
        let at = |s| begun + Duration::from_secs(s);
        let mut throughput = Throughput::new(LIMIT, begun);
        assert_eq!(throughput.add(5999, at(59)), Ok(()));
        assert_eq!(throughput.add(0, at(60)), Err(TooSlow { bytes_per_s: 99 }));
        let mut throughput = Throughput::new(LIMIT, begun);
        assert_eq!(throughput.add(6000, at(60)), Ok(()));
        // A new interval: the rate before it does not count.
        assert_eq!(throughput.add(10, at(119)), Ok(()));
        assert_eq!(throughput.add(10, at(120)), Err(TooSlow { bytes_per_s: 0 }));
    }

    #[test]
    fn times_of_waiting_for_others_do_not_count_and_zero_means_any() {
        let begun = Instant::now();
        let mut throughput = Throughput::new(LIMIT, begun);
        throughput.leave_out(Duration::from_secs(100));
        assert_eq!(throughput.add(10, begun + Duration::from_secs(120)), Ok(()));
        let mut throughput = Throughput::new(ThroughputMin { bytes_per_s_min: 0, ..LIMIT }, begun);
        assert_eq!(throughput.add(0, begun + Duration::from_secs(120)), Ok(()));
    }
}
