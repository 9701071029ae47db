//! The rate limit of a caller's frames: faster ones wait in the caller's connection.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The burst after a silence, as the time that it would take at the rate.
const BURST: Duration = Duration::from_secs(1);

/// A rate of frames and bytes, with a burst of one second.
#[derive(Debug, Clone)]
pub(super) struct RateLimit {
    frame: Duration,
    byte_ns: f64,
    /// When everything received would have arrived at this rate.
    due: Instant,
}

impl RateLimit {
    /// Limits per second; 0 is no limit.
    pub fn new(frames_per_s_max: u32, bytes_per_s_max: u64) -> Self {
        let frame = Duration::from_secs(1).checked_div(frames_per_s_max).unwrap_or(Duration::ZERO);
        let byte_ns = if bytes_per_s_max == 0 { 0.0 } else { 1e9 / bytes_per_s_max as f64 };
        Self { frame, byte_ns, due: Instant::now() }
    }

    /// No limit.
    pub fn unlimited() -> Self {
        Self::new(0, 0)
    }

    /// How many frames may be taken between two waits.
    pub fn frames_at_once(&self) -> u32 {
        if self.frame.is_zero() { u32::MAX } else { 1 }
    }

    /// Counts received frames and bytes.
    pub fn spend(&mut self, frames: u32, bytes: u64) {
        let bytes = Duration::from_nanos((self.byte_ns * bytes as f64) as u64);
        self.due = self.due.max(Instant::now()) + (self.frame * frames).max(bytes);
    }

    /// Waits until more may be read.
    pub async fn wait(&self) {
        let from = self.due.checked_sub(BURST).unwrap_or(self.due);
        if from > Instant::now() {
            sleep_until(from).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seconds_for(mut limit: RateLimit, times: u32, frames: u32, bytes: u64) -> u64 {
        let begun = Instant::now();
        for _ in 0..times {
            limit.wait().await;
            limit.spend(frames, bytes);
        }
        limit.wait().await;
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_of_frames_or_bytes_comes_at_once_and_the_rest_at_the_rate() {
        assert_eq!(seconds_for(RateLimit::new(10, 0), 10, 1, 1 << 20).await, 0);
        assert_eq!(seconds_for(RateLimit::new(10, 0), 40, 1, 1 << 20).await, 3);
        assert_eq!(seconds_for(RateLimit::new(0, 1000), 4, 100, 1000).await, 3);
        assert_eq!(seconds_for(RateLimit::unlimited(), 1000, 100, 1 << 30).await, 0);
    }
}
