//! When each of many redriven events is due: at most a fixed number per second.

/// The last second that was assigned, and how many are due in it.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    second: i64,
    given: u32,
}

impl RateLimit {
    /// Seconds from now until the next one is due.
    pub(crate) fn delay_s(&mut self, now_ms: i64, per_second_max: u32) -> u32 {
        let now_s = now_ms.div_euclid(1000);
        // A clock that was set back by far does not delay everything until it has caught up.
        if self.second < now_s || self.second > now_s + DELAY_S_MAX {
            (self.second, self.given) = (now_s, 0);
        }
        if self.given >= per_second_max {
            (self.second, self.given) = (self.second + 1, 0);
        }
        self.given += 1;
        u32::try_from(self.second - now_s).unwrap_or(0)
    }
}

/// Longest delay: beyond it the count is reset.
const DELAY_S_MAX: i64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_its_share() {
        let mut limit = RateLimit::default();
        let delays: Vec<u32> = (0..7).map(|_| limit.delay_s(5_000, 3)).collect();
        assert_eq!(delays, [0, 0, 0, 1, 1, 1, 2]);
        assert_eq!((limit.delay_s(6_999, 3), limit.delay_s(6_999, 3)), (1, 1), "those of before count");
        assert_eq!(limit.delay_s(6_999, 3), 2);
        assert_eq!(limit.delay_s(60_000, 3), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stall_redrives() {
        let mut limit = RateLimit::default();
        limit.delay_s(1_000_000_000_000, 1);
        assert_eq!(limit.delay_s(5_000, 1), 0);
    }
}
