//! How long an idle instance is kept alive, by how long instances of its version were idle before.
//!
//! A cold start costs as much as some seconds of an idle instance ([`KeepAlivePolicy`]). Without
//! samples an instance is kept for that time: the cost is then at most twice the optimum (ski
//! rental). With samples it is kept for the time whose expected cost, idle seconds and cold starts
//! together, was the least. Samples form a histogram of idle times with exponential bins that fades
//! as it grows, as in Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020).
//!
//! A version called at regular times, as by a timer, gets a pre-warming window, as in the same
//! paper: its instance is stopped and another one is started shortly before the next request is
//! due.

use std::time::Duration;

/// Bins of the histogram; the last one covers all longer times.
const BINS: usize = 32;
/// Number of bins per doubling of the time.
const BINS_PER_DOUBLING: f64 = 2.0;
/// Samples that are counted before their weight is halved.
const REMEMBERED_MAX: u32 = 512;
/// Fewer samples are not used.
const SAMPLES_MIN: u32 = 8;
/// This many similar idle times in a row are regular.
const REGULAR: usize = 6;
/// The longest and the shortest of them differ by at most this part of the shortest.
const REGULAR_SPREAD: u32 = 4;
/// Margin before the earliest and after the latest time at which a prewarmed instance is expected
/// to be used.
const PREWARM_MARGIN: Duration = Duration::from_secs(3);
/// Longest idle time that is prewarmed for.
const PREWARM_MAX: Duration = Duration::from_secs(36 * 3600);

/// Weights of the keep-alive policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeepAlivePolicy {
    /// The idle time that costs as much as a cold start.
    pub cold_start: Duration,
    /// Instances are kept for at least this long.
    pub keep_min: Duration,
    /// And for at most this long.
    pub keep_max: Duration,
}

/// The plan for an idle instance; times count from its last request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    /// It is stopped after this time, unless it is used.
    For(Duration),
    /// It is stopped after `keep`; another one is kept from `from` until `until`.
    Prewarm {
        /// When it is stopped.
        keep: Duration,
        /// When another one is started.
        from: Duration,
        /// When that one is stopped, unless it is used.
        until: Duration,
    },
}

impl KeepAlive {
    /// Whether an instance is to exist after this idle time.
    pub fn holds(self, idle: Duration) -> bool {
        match self {
            Self::For(keep) => idle < keep,
            Self::Prewarm { keep, .. } => idle < keep || self.prewarms(idle),
        }
    }

    /// The times at which the plan changes.
    pub fn changes(self) -> [Option<Duration>; 3] {
        match self {
            Self::For(keep) => [Some(keep), None, None],
            Self::Prewarm { keep, from, until } => [Some(keep), Some(from), Some(until)],
        }
    }

    /// Whether a stopped instance is to be replaced at this time.
    pub fn prewarms(self, idle: Duration) -> bool {
        matches!(self, Self::Prewarm { from, until, .. } if (from..until).contains(&idle))
    }

    /// Whether a stopped instance is to be replaced, now or later.
    pub fn will_prewarm(self, idle: Duration) -> bool {
        matches!(self, Self::Prewarm { until, .. } if idle < until)
    }
}

/// The idle times observed for one version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IdleHistogram {
    counts: [u16; BINS],
    total: u32,
    /// Those after which an instance was ready for another reason: not keeping one caused no cold
    /// start.
    covered: [u16; BINS],
    /// The latest ones in milliseconds, the newest at the end; zeros until there are enough.
    latest_ms: [u32; REGULAR],
}

/// The end of a bin, in seconds: 1, 1.4, 2, 2.8 … 32,768.
fn end_s(bin: usize) -> f64 {
    (bin as f64 / BINS_PER_DOUBLING).exp2()
}

impl IdleHistogram {
    /// Records that an instance was idle for `idle` before it was used, or before another one was
    /// started in its place; `covered` when that one was ready for another reason.
    pub fn idle_for(&mut self, idle: Duration, covered: bool) {
        // Rounded up and clamped to the bins: it fits.
        let bin = (idle.as_secs_f64().max(1e-3).log2() * BINS_PER_DOUBLING).ceil().max(0.0) as usize;
        let bin = bin.min(BINS - 1);
        self.counts[bin] += 1;
        self.covered[bin] += u16::from(covered);
        self.latest_ms.rotate_left(1);
        self.latest_ms[REGULAR - 1] = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX);
        self.total += 1;
        if self.total >= REMEMBERED_MAX {
            for count in self.counts.iter_mut().chain(&mut self.covered) {
                *count /= 2;
            }
            self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
    }

    /// How long an idle instance is to be kept.
    pub fn keep_for(&self, policy: KeepAlivePolicy) -> Duration {
        let keep = if self.total < SAMPLES_MIN { policy.cold_start } else { self.cheapest(policy) };
        keep.clamp(policy.keep_min.min(policy.keep_max), policy.keep_max)
    }

    /// The plan for an idle instance, when another one takes `start` to be ready.
    pub fn plan(&self, policy: KeepAlivePolicy, start: Duration) -> KeepAlive {
        let keep = self.keep_for(policy);
        let Some((earliest, latest)) = self.regular() else { return KeepAlive::For(keep) };
        let margin = (latest - earliest) / 2 + PREWARM_MARGIN;
        let (from, until) = (earliest.saturating_sub(margin + start), latest + margin);
        let (stop, window) = (policy.keep_min.min(policy.keep_max), until - from);
        // The window must cost less than a cold start, and take far less than keeping the instance
        // throughout: starts take processor time.
        let pays = window < policy.cold_start && 2 * (stop + window) <= earliest && until < PREWARM_MAX;
        if pays { KeepAlive::Prewarm { keep: stop, from, until } } else { KeepAlive::For(keep) }
    }

    /// The shortest and the longest of the latest idle times, when they are about the same.
    fn regular(&self) -> Option<(Duration, Duration)> {
        let (earliest, latest) = (*self.latest_ms.iter().min()?, *self.latest_ms.iter().max()?);
        let ms = |ms: u32| Duration::from_millis(u64::from(ms));
        (latest - earliest <= earliest / REGULAR_SPREAD).then_some((ms(earliest), ms(latest)))
    }

    /// The end of a bin with the least cost. An idle time within a bin is taken as the bin's end.
    fn cheapest(&self, policy: KeepAlivePolicy) -> Duration {
        let cold_start = policy.cold_start.as_secs_f64();
        let mut longer = f64::from(self.total);
        let mut uncovered = longer - self.covered.iter().map(|count| f64::from(*count)).sum::<f64>();
        let mut idle_s = 0.0;
        let mut best = (uncovered * cold_start, 0.0);
        for (bin, (count, covered)) in self.counts[..BINS - 1].iter().zip(&self.covered).enumerate() {
            let end = end_s(bin);
            longer -= f64::from(*count);
            uncovered -= f64::from(*count) - f64::from(*covered);
            idle_s += f64::from(*count) * end;
            let cost = idle_s + longer * end + uncovered * cold_start;
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

    const POLICY: KeepAlivePolicy = KeepAlivePolicy {
        cold_start: Duration::from_secs(60),
        keep_min: Duration::from_secs(2),
        keep_max: Duration::from_secs(600),
    };

    fn after(idle_s: &[f64]) -> u64 {
        let mut histogram = IdleHistogram::default();
        for seconds in idle_s {
            histogram.idle_for(Duration::from_secs_f64(*seconds), false);
        }
        histogram.keep_for(POLICY).as_secs()
    }

    #[test]
    fn what_another_reason_has_ready_is_not_waited_for() {
        let mut histogram = IdleHistogram::default();
        (0..50).for_each(|_| histogram.idle_for(Duration::from_secs(30), true));
        assert_eq!(histogram.keep_for(POLICY), POLICY.keep_min);
    }

    #[test]
    fn an_instance_that_a_timer_calls_goes_and_returns_before_the_next_call() {
        let s = Duration::from_secs;
        let mut histogram = IdleHistogram::default();
        for _ in 0..REGULAR - 1 {
            histogram.idle_for(s(300), false);
        }
        assert!(matches!(histogram.plan(POLICY, s(1)), KeepAlive::For(_)), "five times are no rule");
        histogram.idle_for(s(302), false);
        let plan = histogram.plan(POLICY, s(1));
        assert_eq!(plan, KeepAlive::Prewarm { keep: s(2), from: s(295), until: s(306) });
        assert_eq!([1, 2, 294, 295, 305, 306].map(|idle| plan.holds(s(idle))), [true, false, false, true, true, false]);
        assert_eq!([1, 295, 306].map(|idle| plan.prewarms(s(idle))), [false, true, false]);
        assert_eq!([1, 295, 306].map(|idle| plan.will_prewarm(s(idle))), [true, true, false]);
        histogram.idle_for(s(500), false);
        assert!(matches!(histogram.plan(POLICY, s(1)), KeepAlive::For(_)), "the rule was broken");
    }

    #[test]
    fn who_comes_often_is_waited_for_however_regular() {
        let mut histogram = IdleHistogram::default();
        (0..50).for_each(|_| histogram.idle_for(Duration::from_secs(7), false));
        assert_eq!(histogram.plan(POLICY, Duration::ZERO), KeepAlive::For(Duration::from_secs(8)));
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
