//! Number of items that a prewarm pool keeps ready, and the time of the next one. Pure.
//!
//! The level equals the demand of the busiest recent second, between two named limits, so that it
//! grows with the rate of starts within a burst. After that second is forgotten, the level halves
//! repeatedly down to the present rate: releasing all at once would take kernel locks from starts,
//! and another burst may follow. Making an item takes the same processors and locks as a start, so
//! it waits until the starts are over, unless too few items are left.

use std::time::{Duration, Instant};

/// Interval of the checks for surplus items.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The same while the level is at its minimum.
const REST_INTERVAL: Duration = Duration::from_secs(10);
/// Time without starts before items are made for the next ones.
const QUIET: Duration = Duration::from_millis(20);

/// The next action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Make one item.
    Make,
    /// Drop one surplus item.
    LetGo,
    /// Wait for this time, or until an item is taken.
    Wait(Duration),
}

/// Settings of a level that follows demand.
#[derive(Debug, Clone, Copy)]
pub struct Levels {
    /// Minimum number kept ready.
    pub ready_min: usize,
    /// Maximum number kept ready.
    pub ready_max: usize,
    /// Seconds for which demand is remembered.
    pub remembered_s: usize,
    /// Seconds between two halvings of the level afterwards.
    pub halved_s: u64,
}

/// Recent demand and the level derived from it.
#[derive(Debug)]
pub struct Demand {
    levels: Levels,
    begun: Instant,
    last: Option<Instant>,
    /// Items taken in each remembered second, indexed by the second modulo their number.
    taken: Vec<usize>,
    second: u64,
    /// Items taken in the busiest second, after halving.
    level: usize,
    /// Seconds for which the level has been above all remembered demand.
    above_s: u64,
}

impl Demand {
    /// Creates it without any demand.
    pub fn new(levels: Levels, now: Instant) -> Self {
        let levels = Levels {
            ready_max: levels.ready_max.max(levels.ready_min),
            remembered_s: levels.remembered_s.max(1),
            halved_s: levels.halved_s.max(1),
            ..levels
        };
        let taken = vec![0; levels.remembered_s];
        Self { levels, begun: now, last: None, taken, second: 0, level: 0, above_s: 0 }
    }

    /// Records that one was taken, or would have been.
    pub fn took(&mut self, now: Instant) {
        self.pass(now);
        self.last = Some(now);
        let this_second = &mut self.taken[self.second as usize % self.levels.remembered_s];
        *this_second += 1;
        if *this_second >= self.level {
            (self.level, self.above_s) = (*this_second, 0);
        }
    }

    /// Number of items to keep ready.
    pub fn wanted(&self) -> usize {
        self.level.clamp(self.levels.ready_min, self.levels.ready_max)
    }

    /// Returns the next action for a number of ready items.
    pub fn next(&mut self, now: Instant, ready: usize) -> Next {
        self.pass(now);
        let wanted = self.wanted();
        let rest = self.rest(now);
        match ready {
            few if few * 2 < wanted => Next::Make,
            few if few < wanted && rest.is_zero() => Next::Make,
            few if few < wanted => Next::Wait(rest),
            many if many > wanted => Next::LetGo,
            _ if wanted > self.levels.ready_min => Next::Wait(LOOK_INTERVAL),
            _ => Next::Wait(REST_INTERVAL),
        }
    }

    /// Time until the current starts count as over.
    pub fn rest(&self, now: Instant) -> Duration {
        self.last.map_or(Duration::ZERO, |last| QUIET.saturating_sub(now.saturating_duration_since(last)))
    }

    /// Drops seconds that are no longer remembered, and lowers the level for those that have
    /// passed.
    fn pass(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.begun).as_secs();
        while self.second < second {
            if self.level == 0 {
                // All remembered seconds are without demand.
                self.second = second;
                return;
            }
            self.second += 1;
            self.taken[self.second as usize % self.levels.remembered_s] = 0;
            self.lower();
        }
    }

    /// Accounts for one second that has passed.
    fn lower(&mut self) {
        let busiest = self.taken.iter().max().copied().unwrap_or_default();
        if busiest >= self.level {
            (self.level, self.above_s) = (busiest, 0);
            return;
        }
        self.above_s += 1;
        if self.above_s.is_multiple_of(self.levels.halved_s) {
            self.level = busiest.max(self.level / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const LEVELS: Levels = Levels { ready_min: 4, ready_max: 64, remembered_s: 10, halved_s: 5 };

    #[test]
    fn what_was_taken_is_made_anew_when_the_starts_are_over() {
        let begun = Instant::now();
        let mut demand = Demand::new(LEVELS, begun);
        assert_eq!(demand.next(begun, 0), Next::Make);
        assert_eq!(demand.next(begun, 3), Next::Make, "nothing has started yet");
        assert!(matches!(demand.next(begun, 4), Next::Wait(_)));
        demand.took(begun);
        assert_eq!(demand.next(begun + 5 * MS, 3), Next::Wait(15 * MS));
        assert_eq!(demand.next(begun + 20 * MS, 3), Next::Make);
        assert_eq!(demand.next(begun + 5 * MS, 1), Next::Make, "too few are left to wait");
    }

    #[test]
    fn as_many_are_kept_as_the_busiest_of_the_last_seconds_took() {
        let begun = Instant::now();
        let mut demand = Demand::new(LEVELS, begun);
        for _ in 0..30 {
            demand.took(begun + 100 * MS);
        }
        let later = begun + 2000 * MS;
        assert_eq!(demand.next(later, 29), Next::Make);
        assert_eq!(demand.next(later, 30), Next::Wait(LOOK_INTERVAL));
        assert_eq!(demand.next(begun + Duration::from_secs(1000), 5), Next::LetGo, "it was too long ago");
        assert_eq!(demand.next(begun + Duration::from_secs(1000), 4), Next::Wait(REST_INTERVAL));
        for _ in 0..1000 {
            demand.took(begun + Duration::from_secs(1000));
        }
        assert_eq!(demand.next(begun + Duration::from_secs(1001), 65), Next::LetGo, "not above the limit");
    }

    #[test]
    fn the_level_grows_within_a_burst_and_halves_step_by_step_when_it_is_over() {
        let begun = Instant::now();
        let at = |s: u64| begun + Duration::from_secs(s);
        let mut demand = Demand::new(LEVELS, begun);
        let mut levels = Vec::new();
        for number in 0..40_u32 {
            demand.took(begun + MS * number);
            levels.push(demand.wanted());
        }
        assert_eq!((levels[0], levels[9], levels[39]), (4, 10, 40));
        // A trickle of 3 a second goes on.
        let mut wanted = |s: u64| {
            for second in 1..=s {
                if second > demand.second {
                    for _ in 0..3 {
                        demand.took(at(second));
                    }
                }
            }
            demand.wanted()
        };
        assert_eq!([9, 13, 14, 18, 19, 24, 29, 60].map(&mut wanted), [40, 40, 20, 20, 10, 5, 4, 4]);
        assert_eq!(demand.level, 3, "what is taken now");
        for _ in 0..9 {
            demand.took(at(61));
        }
        assert_eq!(demand.wanted(), 9, "it grows at once");
    }

    #[test]
    fn limits_of_time_that_are_none_are_a_second() {
        let begun = Instant::now();
        let mut demand = Demand::new(Levels { ready_min: 0, remembered_s: 0, halved_s: 0, ..LEVELS }, begun);
        for _ in 0..8 {
            demand.took(begun);
        }
        let at = |s: u64| begun + Duration::from_secs(s);
        for (second, level) in [(0, 8), (1, 4), (2, 2), (3, 1), (4, 0), (u64::from(u32::MAX), 0)] {
            demand.next(at(second), 0);
            assert_eq!(demand.wanted(), level, "after {second} s");
        }
    }

    proptest! {
        #[test]
        fn the_pool_comes_to_rest_between_its_limits(
            takes in proptest::collection::vec(0u64..30_000, 0..300),
            ready_min in 0usize..10,
            ready_max in 0usize..40,
        ) {
            let begun = Instant::now();
            let mut demand = Demand::new(Levels { ready_min, ready_max, ..LEVELS }, begun);
            let (mut takes, mut ready) = (takes, 0_usize);
            takes.sort_unstable();
            for at in takes {
                demand.took(begun + MS * u32::try_from(at).expect("small"));
                ready = ready.saturating_sub(1);
            }
            let mut now = begun + Duration::from_secs(31 + 10 + 5 * 10);
            for _ in 0..1000 {
                match demand.next(now, ready) {
                    Next::Make => ready += 1,
                    Next::LetGo => ready -= 1,
                    Next::Wait(time) if time > Duration::from_secs(1) => break,
                    Next::Wait(time) => now += time,
                }
            }
            prop_assert!(ready >= ready_min && ready <= ready_max.max(ready_min), "{}", ready);
        }
    }
}
