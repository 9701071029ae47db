//! The rate limit of starts: a sliding window of a minute, shared fairly by functions.
//!
//! Exact, and bounded by the limit itself. Functions share the window by a dynamic threshold
//! (Choudhury and Hahne, 1998): a function may start while it has started less than a fixed
//! multiple of what is left for all. One function alone gets its share of the limit, several that
//! want all they can get converge to equal parts, and a newcomer finds some left.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use types::FunctionId;

use super::limit::LimitExceeded;

/// The length of the sliding window.
const WINDOW: Duration = Duration::from_secs(60);

/// The starts of the last minute.
#[derive(Debug)]
pub(crate) struct StartRate {
    max: u32,
    /// The share of all starts that one function alone may have; 100 disables the sharing.
    share_percent: u64,
    begun: VecDeque<(Instant, FunctionId)>,
    /// The number of starts by function.
    by_function: HashMap<FunctionId, u32>,
}

impl StartRate {
    /// At most `max` in a minute, 0 is no limit, and of one function alone at most
    /// `share_percent_max` of it.
    pub fn new(max: u32, share_percent_max: u32) -> Self {
        let share_percent = u64::from(share_percent_max.clamp(1, 100));
        Self { max, share_percent, begun: VecDeque::new(), by_function: HashMap::new() }
    }

    /// The limit that refuses a start of `function` when starts of `before`, the longest wait
    /// first, have precedence. Of those only the ones count that the limit would admit.
    pub fn in_the_way<'a>(
        &mut self,
        function: &FunctionId,
        before: impl Iterator<Item = &'a FunctionId>,
        now: Instant,
    ) -> Option<LimitExceeded> {
        if self.max == 0 {
            return None;
        }
        self.forget(now);
        let mut held: Vec<&FunctionId> = Vec::new();
        for other in before {
            if self.limit(other, &held).is_none() {
                held.push(other);
            }
        }
        self.limit(function, &held)
    }

    /// The limit, with starts of `held` taken as well.
    fn limit(&self, function: &FunctionId, held: &[&FunctionId]) -> Option<LimitExceeded> {
        let taken = self.begun.len() + held.len();
        let free = (self.max as usize).saturating_sub(taken) as u64;
        if free == 0 {
            return Some(LimitExceeded::StartsPerMinute { max: self.max });
        }
        let own = u64::from(self.by_function.get(function).copied().unwrap_or(0))
            + held.iter().filter(|other| **other == function).count() as u64;
        let over = own * (100 - self.share_percent) >= self.share_percent * free;
        over.then_some(LimitExceeded::StartShare { max: self.max })
    }

    fn forget(&mut self, now: Instant) {
        while let Some((begun, _)) = self.begun.front()
            && now.saturating_duration_since(*begun) >= WINDOW
        {
            let Some((_, function)) = self.begun.pop_front() else { return };
            if let Some(count) = self.by_function.get_mut(&function) {
                *count -= 1;
                if *count == 0 {
                    self.by_function.remove(&function);
                }
            }
        }
    }

    /// Counts one start.
    pub fn take(&mut self, function: &FunctionId, now: Instant) {
        if self.max > 0 {
            self.begun.push_back((now, function.clone()));
            *self.by_function.entry(function.clone()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use proptest::prelude::*;

    use super::*;

    fn id(n: usize) -> FunctionId {
        format!("lam-{n:08}").parse().expect("valid")
    }

    fn may(rate: &mut StartRate, function: usize, now: Instant) -> bool {
        rate.in_the_way(&id(function), iter::empty(), now).is_none()
    }

    /// Starts as many as it may.
    fn flood(rate: &mut StartRate, function: usize, now: Instant) -> usize {
        let begun = iter::repeat_with(|| {
            let may = may(rate, function, now);
            if may {
                rate.take(&id(function), now);
            }
            may
        });
        begun.take_while(|begun| *begun).count()
    }

    #[test]
    fn as_many_as_allowed_are_begun_in_any_minute() {
        let (mut rate, begin) = (StartRate::new(3, 100), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        for second in [0, 10, 20] {
            assert!(may(&mut rate, 1, at(second)));
            rate.take(&id(1), at(second));
        }
        assert!(!may(&mut rate, 1, at(59)) && may(&mut rate, 1, at(60)));
        rate.take(&id(1), at(60));
        assert!(!may(&mut rate, 1, at(69)) && may(&mut rate, 1, at(70)));
        assert!(may(&mut rate, 1, at(1000)));
        assert!(rate.by_function.is_empty() && rate.begun.is_empty(), "nothing is kept for longer than it counts");
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let mut rate = StartRate::new(0, 50);
        rate.take(&id(1), Instant::now());
        assert!(may(&mut rate, 1, Instant::now()));
        assert!(rate.begun.is_empty());
    }

    #[test]
    fn one_function_gets_its_share_and_those_who_come_later_find_some_left() {
        let (mut rate, now) = (StartRate::new(500, 60), Instant::now());
        assert_eq!([1, 2, 3, 4].map(|function| flood(&mut rate, function, now)), [300, 120, 48, 20]);
        assert_eq!(rate.in_the_way(&id(1), iter::empty(), now), Some(LimitExceeded::StartShare { max: 500 }));
        assert!(may(&mut rate, 5, now));
        assert_eq!([100, 60].map(|share| flood(&mut StartRate::new(500, share), 1, now)), [500, 300]);
    }

    #[test]
    fn all_that_want_as_much_as_they_can_get_come_to_equal_parts() {
        let (mut rate, mut now) = (StartRate::new(500, 60), Instant::now());
        let mut of = [0_u32; 3];
        // The first has taken all it can before the others come.
        flood(&mut rate, 0, now);
        for second in 0..300 {
            now += Duration::from_secs(1);
            // In turn, one start each.
            loop {
                let mut any = false;
                for (function, begun) in of.iter_mut().enumerate() {
                    if may(&mut rate, function, now) {
                        rate.take(&id(function), now);
                        *begun += u32::from(second >= 240);
                        any = true;
                    }
                }
                if !any {
                    break;
                }
            }
        }
        let (least, most) = (of.iter().min().expect("three"), of.iter().max().expect("three"));
        assert!(*least > 0 && most - least <= most / 4, "{of:?}");
    }

    #[test]
    fn starts_are_kept_for_who_came_before_unless_its_own_share_is_used_up() {
        let (mut rate, now) = (StartRate::new(5, 60), Instant::now());
        assert_eq!(flood(&mut rate, 1, now), 3);
        let (greedy, other) = (id(1), id(2));
        assert!(rate.in_the_way(&other, [&greedy, &greedy].into_iter(), now).is_none(), "it could not begin one");
        let (third, fourth) = (id(3), id(4));
        let refused = rate.in_the_way(&other, [&third, &fourth].into_iter(), now);
        assert_eq!(refused, Some(LimitExceeded::StartsPerMinute { max: 5 }));
    }

    proptest! {
        #[test]
        fn the_limit_holds_in_every_minute_and_a_newcomer_is_served_beside_any_one_function(
            max in 5_u32..60, share in 1_u32..=80, steps in proptest::collection::vec((0_usize..4, 0_u64..30), 1..300),
        ) {
            let (mut rate, mut now) = (StartRate::new(max, share), Instant::now());
            let mut begun: Vec<Instant> = Vec::new();
            let mut of_first = StartRate::new(max, share);
            for (function, pause_s) in steps {
                now += Duration::from_secs(pause_s);
                if may(&mut rate, function, now) {
                    rate.take(&id(function), now);
                    begun.push(now);
                }
                let in_window = begun.iter().filter(|at| now.duration_since(**at) < WINDOW).count();
                prop_assert!(in_window <= max as usize);
                flood(&mut of_first, 0, now);
                prop_assert!(may(&mut of_first, 9, now));
            }
        }
    }
}
