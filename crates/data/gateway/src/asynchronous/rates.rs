//! Limits of requests and bytes per second, of each function and of all. Decides by an explicit
//! `now`.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::time::Instant;
use types::FunctionKey;

use super::config::AsyncConfig;

/// Number of functions at which idle ones are removed.
const FUNCTIONS_KEPT: usize = 1024;

/// The unit of each limit, and its setting.
const FUNCTION_CALLS: (&str, &str) =
    ("asynchronous calls of the function", "gateway.async.function_requests_per_s_max");
const FUNCTION_BYTES: (&str, &str) =
    ("bytes of asynchronous calls of the function", "gateway.async.function_bytes_per_s_max");
const CALLS: (&str, &str) = ("asynchronous calls", "gateway.async.requests_per_s_max");
const BYTES: (&str, &str) = ("bytes of asynchronous calls", "gateway.async.bytes_per_s_max");

/// A limit that is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {max} {unit} in a second (setting {setting}); try again in a second")]
pub struct RateExceeded {
    /// The limit.
    pub max: u32,
    /// The unit and its scope.
    pub unit: &'static str,
    /// Its setting.
    pub setting: &'static str,
}

/// The token buckets of all limits.
#[derive(Debug)]
pub struct Rates {
    config: AsyncConfig,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    all: Use,
    functions: HashMap<FunctionKey, Use>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    requests: Bucket,
    bytes: Bucket,
}

/// A token bucket with a burst of one second. A body is admitted while any token is left, and its
/// size may leave a debt.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    filled_at: Instant,
}

impl Bucket {
    fn fill(&mut self, per_s: u32, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = self.filled_at.max(now);
        self.left = (self.left + seconds * f64::from(per_s)).min(f64::from(per_s));
    }
}

impl Use {
    fn new(requests: u32, bytes: u32, now: Instant) -> Self {
        let full = |per_s: u32| Bucket { left: f64::from(per_s), filled_at: now };
        Self { requests: full(requests), bytes: full(bytes) }
    }

    fn fill(&mut self, requests: u32, bytes: u32, now: Instant) {
        self.requests.fill(requests, now);
        self.bytes.fill(bytes, now);
    }

    fn take(&mut self, bytes: u64) {
        self.requests.left -= 1.0;
        self.bytes.left -= bytes as f64;
    }
}

impl Rates {
    /// Full buckets.
    pub fn new(config: &AsyncConfig, now: Instant) -> Self {
        let all = Use::new(config.requests_per_s_max, config.bytes_per_s_max, now);
        Self { config: config.clone(), state: Mutex::new(State { all, functions: HashMap::new() }) }
    }

    /// Admits a request with a body of `bytes`, or returns the limit that is exceeded.
    pub fn admit(&self, function: &FunctionKey, bytes: u64, now: Instant) -> Result<(), RateExceeded> {
        let config = &self.config;
        let (requests_max, bytes_max) = (config.function_requests_per_s_max, config.function_bytes_per_s_max);
        let mut state = self.state.lock();
        let State { all, functions } = &mut *state;
        if functions.len() >= FUNCTIONS_KEPT && !functions.contains_key(function) {
            functions.retain(|_, of| {
                of.fill(requests_max, bytes_max, now);
                of.requests.left < f64::from(requests_max) || of.bytes.left < f64::from(bytes_max)
            });
        }
        let of = functions.entry(function.clone()).or_insert_with(|| Use::new(requests_max, bytes_max, now));
        of.fill(requests_max, bytes_max, now);
        all.fill(config.requests_per_s_max, config.bytes_per_s_max, now);
        let bounds = [
            (of.requests.left >= 1.0, requests_max, FUNCTION_CALLS),
            (of.bytes.left > 0.0, bytes_max, FUNCTION_BYTES),
            (all.requests.left >= 1.0, config.requests_per_s_max, CALLS),
            (all.bytes.left > 0.0, config.bytes_per_s_max, BYTES),
        ];
        if let Some((_, max, (unit, setting))) = bounds.into_iter().find(|(room, ..)| !room) {
            return Err(RateExceeded { max, unit, setting });
        }
        of.take(bytes);
        all.take(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(name: &str) -> FunctionKey {
        FunctionKey { namespace: "default".parse().expect("valid"), name: name.parse().expect("valid") }
    }

    fn config() -> AsyncConfig {
        AsyncConfig {
            requests_per_s_max: 5,
            function_requests_per_s_max: 3,
            bytes_per_s_max: 1000,
            function_bytes_per_s_max: 100,
            ..AsyncConfig::default()
        }
    }

    #[test]
    fn a_function_has_its_own_bound_and_all_have_one_together() {
        let now = Instant::now();
        let rates = Rates::new(&config(), now);
        let refused = |name: &str, at| rates.admit(&key(name), 1, at).err().map(|over| over.setting);
        assert_eq!([(); 4].map(|()| refused("aa", now)), [None, None, None, Some(FUNCTION_CALLS.1)]);
        assert_eq!([(); 3].map(|()| refused("bb", now)), [None, None, Some(CALLS.1)]);
        let later = now + Duration::from_millis(500);
        assert_eq!(refused("aa", later), None, "half a second later there is room for one or two");
    }

    #[test]
    fn bytes_are_owed_and_a_body_larger_than_the_bound_passes_alone() {
        let now = Instant::now();
        let rates = Rates::new(&config(), now);
        assert_eq!(rates.admit(&key("aa"), 250, now), Ok(()));
        let over = rates.admit(&key("aa"), 1, now).expect_err("owed");
        assert_eq!(
            over.to_string(),
            "more than 100 bytes of asynchronous calls of the function in a second (setting \
             gateway.async.function_bytes_per_s_max); try again in a second"
        );
        assert_eq!(rates.admit(&key("bb"), 1, now), Ok(()), "another function is not held up");
        assert!(rates.admit(&key("aa"), 1, now + Duration::from_secs(1)).is_err());
        assert_eq!(rates.admit(&key("aa"), 1, now + Duration::from_secs(2)), Ok(()));
    }

    #[test]
    fn functions_that_are_idle_are_forgotten() {
        let now = Instant::now();
        let wide = AsyncConfig { requests_per_s_max: u32::MAX, ..AsyncConfig::default() };
        let rates = Rates::new(&wide, now);
        for number in 0..FUNCTIONS_KEPT {
            rates.admit(&key(&format!("f{number}")), 0, now).expect("room");
        }
        rates.admit(&key("last"), 0, now + Duration::from_secs(2)).expect("room");
        assert_eq!(rates.state.lock().functions.len(), 1);
    }
}
