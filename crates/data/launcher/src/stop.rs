//! Stop policy of a function's instances: the stop signal of the image, and the grace. Pure.

use std::time::Duration;

use types::tags;

use crate::Config;

/// The signal of images without a known one: SIGTERM.
const DEFAULT: i32 = 15;

/// Stop signal and grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StopPolicy {
    pub(crate) signal: i32,
    pub(crate) grace: Duration,
}

/// The policy of a function with these tags, whose image has this STOPSIGNAL if any is known.
pub(crate) fn stop_policy(stop_signal: Option<i32>, tags: &[(String, String)], config: &Config) -> StopPolicy {
    let signal = stop_signal.unwrap_or(DEFAULT);
    // The API has refused invalid values.
    let own = tags::stop_grace_s(tags).ok().flatten().map(|seconds| Duration::from_secs(u64::from(seconds)));
    StopPolicy { signal, grace: own.unwrap_or(Duration::from_millis(config.stop_grace_ms)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_own_grace_counts_and_an_unknown_signal_is_the_default() {
        let config = Config::default();
        let tags = vec![(tags::STOP_GRACE.to_owned(), "7".to_owned())];
        let seconds = Duration::from_secs;
        assert_eq!(stop_policy(None, &[], &config), StopPolicy { signal: 15, grace: seconds(2) });
        assert_eq!(stop_policy(Some(3), &tags, &config), StopPolicy { signal: 3, grace: seconds(7) });
        assert_eq!(stop_policy(None, &tags, &config), StopPolicy { signal: 15, grace: seconds(7) });
    }
}
