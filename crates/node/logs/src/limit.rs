//! How much one instance may write. Pure: time is given.

use std::time::Instant;

use crate::Config;

/// Share of both bursts that a request may write whatever was written before it.
const REQUEST_SHARE: f64 = 0.01;

/// A token bucket for lines and one for bytes. After a refusal it stays closed until a tenth of both bursts is there
/// again: a flood is then cut in stretches of about a second, each said once, instead of line by line.
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

    /// A new request begins: it may write a little even when the one before it used up everything, so that a flood never
    /// hides what comes after it.
    pub(crate) fn begin_request(&mut self) {
        self.closed = false;
        for bucket in [&mut self.lines, &mut self.bytes] {
            bucket.tokens = bucket.tokens.max(bucket.burst * REQUEST_SHARE);
        }
    }

    /// Whether a line of `bytes` bytes may pass; takes its tokens if so.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
    fn a_clock_that_stands_or_goes_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut limiter = limiter(start);
        while limiter.allow(1, start) {}
        assert!(!limiter.allow(1, start - Duration::from_secs(5)));
        assert!(!limiter.allow(1, start));
    }
}
