//! Whose events are claimed next: deficit round robin over the functions that have due events and
//! room (Shreedhar and Varghese, 1995; every event costs one).

use std::collections::VecDeque;
use std::hash::Hash;

/// Events that may be claimed for a function in one round.
const QUANTUM: usize = 8;

/// The order in which functions are served. A function is in it once, and leaves when it has
/// nothing due or no room; it returns at the end.
#[derive(Debug)]
pub(crate) struct RoundRobin<K> {
    order: VecDeque<K>,
}

impl<K> Default for RoundRobin<K> {
    fn default() -> Self {
        Self { order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash> RoundRobin<K> {
    /// Adds a function at the end. The caller keeps each in it once.
    pub(crate) fn push(&mut self, key: K) {
        self.order.push_back(key);
    }

    /// Deals `slots` runs: each function in turn gets up to a quantum of its `wants`, until all are
    /// dealt. Functions without further wants leave the order; `left` is called with them.
    pub(crate) fn deal(
        &mut self,
        mut slots: usize,
        mut wants: impl FnMut(&K) -> usize,
        mut left: impl FnMut(&K),
    ) -> Vec<(K, usize)> {
        let mut dealt: Vec<(K, usize)> = Vec::new();
        while slots > 0 {
            let Some(key) = self.order.pop_front() else { break };
            let given = dealt.iter().position(|(of, _)| *of == key);
            let wanted = wants(&key).saturating_sub(given.map_or(0, |at| dealt[at].1));
            let granted = wanted.min(QUANTUM).min(slots);
            slots -= granted;
            match given {
                Some(at) => dealt[at].1 += granted,
                None if granted > 0 => dealt.push((key.clone(), granted)),
                None => {}
            }
            if granted < wanted {
                self.order.push_back(key);
            } else {
                left(&key);
            }
        }
        dealt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(order: &mut RoundRobin<&'static str>, slots: usize, wants: &[(&str, usize)]) -> Vec<(&'static str, usize)> {
        order.deal(slots, |key| wants.iter().find(|(name, _)| name == key).map_or(0, |(_, n)| *n), |_| {})
    }

    #[test]
    fn a_function_with_many_waiting_events_leaves_room_for_the_first_of_another() {
        let mut order = RoundRobin::default();
        order.push("flood");
        order.push("single");
        assert_eq!(deal(&mut order, 16, &[("flood", 100_000), ("single", 1)]), [("flood", 15), ("single", 1)]);
    }

    #[test]
    fn slots_go_in_quanta_and_the_order_goes_on_where_it_stopped() {
        let mut order = RoundRobin::default();
        ["a", "b", "c"].iter().for_each(|key| order.push(*key));
        let wants = [("a", 100), ("b", 100), ("c", 100)];
        assert_eq!(deal(&mut order, 12, &wants), [("a", 8), ("b", 4)]);
        assert_eq!(deal(&mut order, 8, &wants), [("c", 8)]);
    }

    #[test]
    fn a_function_that_wants_nothing_leaves_the_order() {
        let mut order = RoundRobin::default();
        order.push("a");
        let mut left = Vec::new();
        assert_eq!(order.deal(4, |_| 0, |key| left.push(*key)), []);
        assert!(order.order.is_empty() && left == ["a"]);
    }
}
