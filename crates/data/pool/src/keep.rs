//! How long an idle instance is worth keeping, by how long instances of its version have been idle before they were used
//! again. Pure.
//!
//! A cold start is worth so many seconds of an idle instance ([`Worth`]). Without experience an instance is kept for just as
//! long: then the cost is at most twice that of knowing the future (ski rental). With experience it is kept for the time
//! whose expected cost, idle seconds and cold starts together, was the least. Experience is a histogram of idle times with
//! exponential bins, as in Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020), which fades as it grows.

use std::time::Duration;

/// Bins of the histogram; the last one is for all that is longer.
const BINS: usize = 32;
/// Bins that double the time together.
const BINS_PER_DOUBLING: f64 = 2.0;
/// Idle times that are remembered before their weight is halved.
const REMEMBERED_MAX: u32 = 512;
/// Fewer of them are no experience.
const EXPERIENCE_MIN: u32 = 8;

/// What keeping an instance is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worth {
    /// Idle time that a cold start is worth.
    pub cold_start: Duration,
    /// Instances are kept for at least this long.
    pub keep_min: Duration,
    /// And for at most this long.
    pub keep_max: Duration,
}

/// The experience of one version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Experience {
    counts: [u16; BINS],
    total: u32,
}

/// The end of a bin, in seconds: 1, 1.4, 2, 2.8 … 32,768.
fn end_s(bin: usize) -> f64 {
    (bin as f64 / BINS_PER_DOUBLING).exp2()
}

impl Experience {
    /// An instance was idle for so long before it was used, or before another one had to be started in its place.
    pub fn idle_for(&mut self, idle: Duration) {
        // Rounded up, and held within the bins: it fits.
        let bin = (idle.as_secs_f64().max(1e-3).log2() * BINS_PER_DOUBLING).ceil().max(0.0) as usize;
        self.counts[bin.min(BINS - 1)] += 1;
        self.total += 1;
        if self.total >= REMEMBERED_MAX {
            for count in &mut self.counts {
                *count /= 2;
            }
            self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
    }

    /// How long an idle instance is to be kept.
    pub fn keep_for(&self, worth: Worth) -> Duration {
        let keep = if self.total < EXPERIENCE_MIN { worth.cold_start } else { self.cheapest(worth) };
        keep.clamp(worth.keep_min.min(worth.keep_max), worth.keep_max)
    }

    /// Of the ends of bins, the one that would have cost the least. Whoever comes within a bin is taken to come at its end.
    fn cheapest(&self, worth: Worth) -> Duration {
        let cold_start = worth.cold_start.as_secs_f64();
        let mut longer = f64::from(self.total);
        let mut idle_s = 0.0;
        let mut best = (longer * cold_start, 0.0);
        for (bin, count) in self.counts[..BINS - 1].iter().enumerate() {
            let end = end_s(bin);
            longer -= f64::from(*count);
            idle_s += f64::from(*count) * end;
            let cost = idle_s + longer * (end + cold_start);
            if cost < best.0 {
                best = (cost, end);
            }
        }
        Duration::from_secs_f64(best.1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORTH: Worth = Worth {
        cold_start: Duration::from_secs(60),
        keep_min: Duration::from_secs(2),
        keep_max: Duration::from_secs(600),
    };

    fn after(idle_s: &[f64]) -> u64 {
        let mut experience = Experience::default();
        for seconds in idle_s {
            experience.idle_for(Duration::from_secs_f64(*seconds));
        }
        experience.keep_for(WORTH).as_secs()
    }

    #[test]
    fn without_experience_an_instance_is_kept_for_what_a_cold_start_is_worth() {
        assert_eq!(after(&[]), 60);
        assert_eq!(after(&[1.0; 7]), 60);
    }

    #[test]
    fn who_comes_often_is_waited_for_and_who_comes_rarely_is_not() {
        assert_eq!(after(&[0.1; 50]), 2, "no longer than the least");
        assert_eq!(after(&[30.0; 50]), 32);
        assert_eq!(after(&[300.0; 50]), 2, "a cold start costs less than five minutes");
        let mixed: Vec<f64> = (0..50).map(|n| if n % 10 == 0 { 3000.0 } else { 20.0 }).collect();
        assert_eq!(after(&mixed), 22);
    }

    #[test]
    fn experience_fades() {
        let mut idle_s = vec![30.0; 400];
        idle_s.extend([3.0; 4000]);
        assert_eq!(after(&idle_s), 4);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_within_the_band_and_costs_no_more_than_keeping_for_a_cold_start(
            idle_s in prop::collection::vec(0.01_f64..100_000.0, 8..200),
        ) {
            let keep = after(&idle_s) as f64;
            prop_assert!((2.0..=600.0).contains(&keep));
            // Bins round up, to at most 1.42 times.
            let cost = |keep: f64| idle_s.iter().map(|idle| if *idle <= keep { *idle } else { keep + 60.0 }).sum::<f64>();
            prop_assert!(cost(keep) <= 1.5 * cost(60.0) + 2.0 * idle_s.len() as f64, "{} {}", cost(keep), cost(60.0));
        }
    }
}
