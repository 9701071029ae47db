//! A cache of values with an expiry. Pure: callers pass the time.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;

/// At most `len_max` values by key, each returned until shortly before it expires.
pub(crate) struct Cache<K, V> {
    items: HashMap<K, (V, Timestamp)>,
    len_max: usize,
    margin: Duration,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// Values are not returned in the last `margin` before their expiry.
    pub(crate) fn new(len_max: usize, margin: Duration) -> Self {
        Self { items: HashMap::new(), len_max, margin }
    }

    /// A value and its expiry.
    pub(crate) fn get_until(&self, key: &K, now: Timestamp) -> Option<(V, Timestamp)> {
        let (value, until) = self.items.get(key)?;
        (now < self.given_until(*until, now)).then(|| (value.clone(), *until))
    }

    fn given_until(&self, until: Timestamp, now: Timestamp) -> Timestamp {
        until.checked_sub(self.margin).unwrap_or(now)
    }

    /// Inserts a value that expires at `until`. A full cache drops the value that expires first.
    pub(crate) fn put(&mut self, key: K, value: V, until: Timestamp, now: Timestamp) {
        let margin = self.margin;
        self.items.retain(|_, (_, until)| until.checked_sub(margin).is_ok_and(|until| now < until));
        if self.given_until(until, now) <= now || self.len_max == 0 {
            self.items.remove(&key);
            return;
        }
        if self.items.len() >= self.len_max && !self.items.contains_key(&key) {
            let first = self.items.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| key.clone());
            first.and_then(|key| self.items.remove(&key));
        }
        self.items.insert(key, (value, until));
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.items.remove(key);
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
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
    fn a_value_is_returned_until_shortly_before_it_expires() {
        let mut cache = Cache::new(10, Duration::from_secs(30));
        cache.put("a", 1, at(100), at(0));
        assert_eq!((cache.get(&"a", at(69)), cache.get(&"a", at(70)), cache.get(&"b", at(0))), (Some(1), None, None));
        cache.put("short", 2, at(30), at(0));
        assert_eq!(cache.get(&"short", at(0)), None, "a life within the margin is not cached");
        cache.remove(&"a");
        assert_eq!(cache.get(&"a", at(0)), None);
    }

    #[test]
    fn a_full_cache_drops_the_value_that_expires_first() {
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
