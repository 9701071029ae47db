//! Rate limits of an instance's output. Pure: time is a parameter.

use std::time::{Duration, Instant};

use crate::Config;

/// Share of both bursts that a request may write regardless of earlier output.
const REQUEST_SHARE: f64 = 0.01;

/// A token bucket for lines and one for bytes. After a rejection it stays closed until a tenth of
/// both bursts is available again: a flood is then cut in stretches of about a second, each
/// reported once, instead of line by line.
#[derive(Debug)]
pub(crate) struct Limiter {
    lines: Bucket,
    bytes: Bucket,
    filled_at: Instant,
    closed: bool,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    per_s: f64,
    burst: f64,
}

impl Bucket {
    fn new(per_s: u32, burst: u32) -> Self {
        Self { tokens: f64::from(burst), per_s: f64::from(per_s), burst: f64::from(burst) }
    }

    fn fill(&mut self, seconds: f64) {
        self.tokens = (self.tokens + seconds * self.per_s).min(self.burst);
    }
}

impl Limiter {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        Self {
            lines: Bucket::new(config.instance_lines_per_s, config.instance_lines_burst),
            bytes: Bucket::new(config.instance_bytes_per_s, config.instance_bytes_burst),
            filled_at: now,
            closed: false,
        }
    }

    /// Begins a new request, which may write a little even if the previous one used up everything,
    /// so that a flood never hides the output after it.
    pub(crate) fn begin_request(&mut self) {
        self.closed = false;
        for bucket in [&mut self.lines, &mut self.bytes] {
            bucket.tokens = bucket.tokens.max(bucket.burst * REQUEST_SHARE);
        }
    }

    /// Whether a line of `bytes` bytes is within the limits; takes its tokens if so.
    pub(crate) fn allow(&mut self, bytes: usize, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        let bytes = bytes as f64;
        let mut enough = true;
        for (bucket, cost) in [(&mut self.lines, 1.0), (&mut self.bytes, bytes)] {
            bucket.fill(seconds);
            let wanted = if self.closed { f64::max(cost, bucket.burst / 10.0) } else { cost };
            enough &= bucket.tokens >= wanted.min(bucket.burst);
        }
        self.closed = !enough;
        if enough {
            self.lines.tokens -= 1.0;
            self.bytes.tokens -= bytes;
        }
        enough
    }
}

/// Rate limit of reading one instance: several times the rate at which its output is kept, so that
/// the excess is dropped and reported, but no faster, so that a flood costs little. The rest stays
/// in the pipe, which blocks the instance.
#[derive(Debug)]
pub(crate) struct ReadRate {
    lines: Bucket,
    bytes: Bucket,
    filled_at: Instant,
}

/// Longest pause; output read by settling the instance meanwhile does not extend it.
const PAUSE_MAX: Duration = Duration::from_secs(1);

impl ReadRate {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        let times = |rate: u32| rate.saturating_mul(config.instance_read_factor.max(1));
        Self {
            lines: Bucket::new(times(config.instance_lines_per_s), config.instance_lines_burst),
            bytes: Bucket::new(times(config.instance_bytes_per_s), config.instance_bytes_burst),
            filled_at: now,
        }
    }

    /// Records a read; returns how long to pause.
    pub(crate) fn took(&mut self, lines: usize, bytes: usize, now: Instant) -> Duration {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        let mut pause: f64 = 0.0;
        for (bucket, taken) in [(&mut self.lines, lines), (&mut self.bytes, bytes)] {
            bucket.fill(seconds);
            bucket.tokens = (bucket.tokens - taken as f64).max(-bucket.per_s * PAUSE_MAX.as_secs_f64());
            pause = pause.max(-bucket.tokens / bucket.per_s.max(1.0));
        }
        Duration::from_secs_f64(pause.clamp(0.0, PAUSE_MAX.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(now: Instant) -> Limiter {
        let config = Config {
            instance_lines_per_s: 10,
            instance_lines_burst: 100,
            instance_bytes_per_s: 1_000,
            instance_bytes_burst: 10_000,
            ..Config::default()
        };
        Limiter::new(&config, now)
    }

    #[test]
    fn a_request_may_write_a_little_after_a_flood() {
        let now = Instant::now();
        let mut limiter = limiter(now);
        while limiter.allow(1, now) {}
        limiter.begin_request();
        assert!(limiter.allow(1, now));
        assert!(!limiter.allow(1, now), "a hundredth of a burst of 100 lines is one line");
    }

    #[test]
    fn a_burst_passes_and_a_flood_is_cut_to_the_rate() {
        let start = Instant::now();
        let mut limiter = limiter(start);
        let passed = |limiter: &mut Limiter, now| (0..1_000).filter(|_| limiter.allow(1, now)).count();
        assert_eq!(passed(&mut limiter, start), 100);
        let over_ten_seconds: usize =
            (1..=10_000).filter(|ms| limiter.allow(1, start + Duration::from_millis(*ms))).count();
        assert!((90..=100).contains(&over_ten_seconds), "{over_ten_seconds}");
    }

    #[test]
    fn it_stays_closed_until_a_tenth_of_the_burst_is_back() {
        let start = Instant::now();
        let mut limiter = limiter(start);
        while limiter.allow(1, start) {}
        assert!(!limiter.allow(1, start + Duration::from_millis(900)));
        assert!(limiter.allow(1, start + Duration::from_millis(1_100)));
    }

    #[test]
    fn bytes_are_limited_too_and_a_huge_line_passes_when_the_bucket_is_full() {
        let start = Instant::now();
        let mut limiter = limiter(start);
        assert!(limiter.allow(20_000, start));
        assert!(!limiter.allow(1, start + Duration::from_secs(5)));
        assert!(limiter.allow(1, start + Duration::from_secs(12)));
    }

    #[test]
    fn reading_pauses_beyond_a_multiple_of_the_rate() {
        let config = Config {
            instance_lines_per_s: 10,
            instance_lines_burst: 100,
            instance_bytes_per_s: 1_000,
            instance_bytes_burst: 10_000,
            instance_read_factor: 10,
            ..Config::default()
        };
        let start = Instant::now();
        let mut rate = ReadRate::new(&config, start);
        assert_eq!(rate.took(100, 10_000, start), Duration::ZERO, "a burst is read at once");
        assert_eq!(rate.took(50, 0, start), Duration::from_millis(500), "of 100 lines a second");
        assert_eq!(rate.took(0, 0, start + Duration::from_millis(500)), Duration::ZERO);
        assert_eq!(rate.took(0, 1 << 30, start + Duration::from_millis(500)), PAUSE_MAX);
        assert_eq!(rate.took(0, 0, start + Duration::from_millis(1_500)), Duration::ZERO, "a debt is bounded");
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut limiter = limiter(start);
        while limiter.allow(1, start) {}
        assert!(!limiter.allow(1, start - Duration::from_secs(5)));
        assert!(!limiter.allow(1, start));
    }
}
