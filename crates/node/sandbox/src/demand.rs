//! How many of a thing a prewarm pool keeps ready, and when it makes the next. Pure.
//!
//! As many are kept as the busiest of the last seconds took, between two named limits. Making one
//! takes the same processors and kernel locks that a start does, so it waits until the starts are
//! over, unless too few are left.

use std::time::{Duration, Instant};

/// Seconds that demand is remembered for.
const SECONDS: usize = 10;
/// How long no start must have come before anything is made for the next ones.
const QUIET: Duration = Duration::from_millis(20);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Make one.
    Make,
    /// One is there that nobody will need: let go of it.
    LetGo,
    /// Look again after this time, or when one was taken.
    Wait(Duration),
}

/// The demand of late.
#[derive(Debug)]
pub struct Demand {
    ready_min: usize,
    ready_max: usize,
    begun: Instant,
    last: Option<Instant>,
    /// Taken in each of the last seconds, by the second's number modulo their number.
    taken: [usize; SECONDS],
    second: u64,
}

impl Demand {
    /// No demand yet.
    pub fn new(ready_min: usize, ready_max: usize, now: Instant) -> Self {
        let ready_max = ready_max.max(ready_min);
        Self { ready_min, ready_max, begun: now, last: None, taken: [0; SECONDS], second: 0 }
    }

    /// One was taken, or would have been.
    pub fn took(&mut self, now: Instant) {
        self.pass(now);
        self.last = Some(now);
        self.taken[self.second as usize % SECONDS] += 1;
    }

    /// What to do when this many are ready.
    pub fn next(&mut self, now: Instant, ready: usize) -> Next {
        self.pass(now);
        let wanted = self.taken.iter().max().copied().unwrap_or_default().clamp(self.ready_min, self.ready_max);
        let rest = self.rest(now);
        match ready {
            few if few * 2 < wanted => Next::Make,
            few if few < wanted && rest.is_zero() => Next::Make,
            few if few < wanted => Next::Wait(rest),
            many if many > wanted => Next::LetGo,
            _ => Next::Wait(Duration::from_secs(SECONDS as u64)),
        }
    }

    /// How long it is until the starts are taken to be over.
    pub fn rest(&self, now: Instant) -> Duration {
        self.last.map_or(Duration::ZERO, |last| QUIET.saturating_sub(now.saturating_duration_since(last)))
    }

    /// Forgets the seconds that are too long ago.
    fn pass(&mut self, now: Instant) {
        let second = now.saturating_duration_since(self.begun).as_secs();
        for passed in (self.second + 1..=second).take(SECONDS) {
            self.taken[passed as usize % SECONDS] = 0;
        }
        self.second = self.second.max(second);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_was_taken_is_made_anew_when_the_starts_are_over() {
        let begun = Instant::now();
        let mut demand = Demand::new(4, 64, begun);
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
        let mut demand = Demand::new(4, 64, begun);
        for _ in 0..30 {
            demand.took(begun + 100 * MS);
        }
        let later = begun + 2000 * MS;
        assert_eq!(demand.next(later, 29), Next::Make);
        assert!(matches!(demand.next(later, 30), Next::Wait(_)));
        assert_eq!(demand.next(begun + Duration::from_secs(10), 30), Next::LetGo, "it was too long ago");
        assert_eq!(demand.next(begun + Duration::from_secs(1000), 5), Next::LetGo);
        assert!(matches!(demand.next(begun + Duration::from_secs(1000), 4), Next::Wait(_)));
        for _ in 0..1000 {
            demand.took(begun + Duration::from_secs(1000));
        }
        assert_eq!(demand.next(begun + Duration::from_secs(1001), 65), Next::LetGo, "not above the limit");
    }

    proptest! {
        #[test]
        fn the_pool_comes_to_rest_between_its_limits(
            takes in proptest::collection::vec(0u64..30_000, 0..300),
            ready_min in 0usize..10,
            ready_max in 0usize..40,
        ) {
            let begun = Instant::now();
            let mut demand = Demand::new(ready_min, ready_max, begun);
            let (mut takes, mut ready) = (takes, 0_usize);
            takes.sort_unstable();
            for at in takes {
                demand.took(begun + MS * u32::try_from(at).expect("small"));
                ready = ready.saturating_sub(1);
            }
            let mut now = begun + Duration::from_secs(31);
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
