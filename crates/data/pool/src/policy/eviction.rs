//! Which idle instances are evicted to make room for another function.
//!
//! The longest idle go first; none is evicted when all of them together would not suffice.

use tokio::time::Instant;

use crate::policy::admission::Load;

/// An idle instance that could be stopped; `T` identifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate<T> {
    pub since: Instant,
    pub load: Load,
    pub name: T,
}

/// The candidates to stop so that at least `want` comes free; `None` when they do not suffice.
pub(crate) fn choose<T>(mut candidates: Vec<Candidate<T>>, want: Load) -> Option<Vec<T>> {
    candidates.sort_by_key(|candidate| candidate.since);
    let mut missing = want;
    let mut chosen = Vec::new();
    for candidate in candidates {
        if missing.is_zero() {
            break;
        }
        missing = missing.less(candidate.load);
        chosen.push(candidate.name);
    }
    missing.is_zero().then_some(chosen)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn candidate(now: Instant, idle_s: u64, memory_mb: u32, name: &'static str) -> Candidate<&'static str> {
        Candidate { since: now - Duration::from_secs(idle_s), load: Load::one(memory_mb), name }
    }

    #[test]
    fn those_idle_for_longest_go_first_and_no_more_than_needed() {
        let now = Instant::now() + Duration::from_secs(3600);
        let all = vec![candidate(now, 1, 128, "new"), candidate(now, 9, 128, "old"), candidate(now, 5, 128, "middle")];
        assert_eq!(choose(all.clone(), Load { instances: 1, memory_mb: 0 }), Some(vec!["old"]));
        assert_eq!(choose(all.clone(), Load { instances: 0, memory_mb: 200 }), Some(vec!["old", "middle"]));
        assert_eq!(choose(all, Load::default()), Some(vec![]));
    }

    #[test]
    fn none_goes_when_all_would_not_be_enough() {
        let now = Instant::now() + Duration::from_secs(3600);
        let all = vec![candidate(now, 1, 128, "a"), candidate(now, 9, 128, "b")];
        assert_eq!(choose(all, Load { instances: 0, memory_mb: 512 }), None);
    }
}
