//! Answers that are remembered as long as they say. Pure: the time comes from outside. Must not know what they are.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;

/// Answers by key, at most so many, each until shortly before it ends.
pub(crate) struct Cache<K, V> {
    kept: HashMap<K, (V, Timestamp)>,
    len_max: usize,
    margin: Duration,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// Answers are not given out in the last `margin` of their lives.
    pub(crate) fn new(len_max: usize, margin: Duration) -> Self {
        Self { kept: HashMap::new(), len_max, margin }
    }

    /// An answer, and when it ends.
    pub(crate) fn get_until(&self, key: &K, now: Timestamp) -> Option<(V, Timestamp)> {
        let (value, until) = self.kept.get(key)?;
        (now < self.given_until(*until, now)).then(|| (value.clone(), *until))
    }

    fn given_until(&self, until: Timestamp, now: Timestamp) -> Timestamp {
        until.checked_sub(self.margin).unwrap_or(now)
    }

    /// Remembers an answer that ends at `until`. The one that ends first makes room.
    pub(crate) fn put(&mut self, key: K, value: V, until: Timestamp, now: Timestamp) {
        let margin = self.margin;
        self.kept.retain(|_, (_, until)| until.checked_sub(margin).is_ok_and(|until| now < until));
        if self.given_until(until, now) <= now || self.len_max == 0 {
            self.kept.remove(&key);
            return;
        }
        if self.kept.len() >= self.len_max && !self.kept.contains_key(&key) {
            let first = self.kept.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| key.clone());
            first.and_then(|key| self.kept.remove(&key));
        }
        self.kept.insert(key, (value, until));
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.kept.remove(key);
    }

    pub(crate) fn clear(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("valid")
    }

    impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
        fn get(&self, key: &K, now: Timestamp) -> Option<V> {
            self.get_until(key, now).map(|(value, _)| value)
        }
    }

    #[test]
    fn an_answer_is_given_until_shortly_before_its_end() {
        let mut cache = Cache::new(10, Duration::from_secs(30));
        cache.put("a", 1, at(100), at(0));
        assert_eq!((cache.get(&"a", at(69)), cache.get(&"a", at(70)), cache.get(&"b", at(0))), (Some(1), None, None));
        cache.put("short", 2, at(30), at(0));
        assert_eq!(cache.get(&"short", at(0)), None, "a life within the margin is not remembered");
        cache.remove(&"a");
        assert_eq!(cache.get(&"a", at(0)), None);
    }

    #[test]
    fn what_ends_first_makes_room() {
        let mut cache = Cache::new(2, Duration::ZERO);
        for (key, until) in [("a", 50), ("b", 20), ("c", 30)] {
            cache.put(key, until, at(until), at(0));
        }
        assert_eq!(
            (cache.get(&"a", at(0)), cache.get(&"b", at(0)), cache.get(&"c", at(0))),
            (Some(50), None, Some(30))
        );
        cache.put("a", 7, at(60), at(0));
        assert_eq!((cache.get(&"a", at(0)), cache.get(&"c", at(0))), (Some(7), Some(30)));
    }
}
