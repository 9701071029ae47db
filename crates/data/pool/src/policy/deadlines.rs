//! Deadlines at which maintenance examines a version: one per version, ordered by time.
//!
//! A pass takes only what is due, so its work grows with the number of due versions.

use std::collections::BTreeMap;

use tokio::time::Instant;

/// Identifies a version while it is in the pool; never reused.
pub(crate) type VersionNumber = u64;

/// The queue; `T` is the item that is examined.
pub(crate) struct Deadlines<T> {
    queue: BTreeMap<(Instant, VersionNumber), T>,
}

impl<T> Deadlines<T> {
    pub fn new() -> Self {
        Self { queue: BTreeMap::new() }
    }

    /// Moves a version from its present deadline to another one.
    pub fn set(
        &mut self,
        number: VersionNumber,
        before: Option<Instant>,
        at: Option<Instant>,
        version: impl FnOnce() -> T,
    ) {
        let known = before.and_then(|before| self.queue.remove(&(before, number)));
        if let Some(at) = at {
            self.queue.insert((at, number), known.unwrap_or_else(version));
        }
    }

    /// Takes the due items, the earliest first.
    pub fn due(&mut self, now: Instant) -> Vec<T> {
        let mut due = Vec::new();
        while let Some(first) = self.queue.first_entry().filter(|first| first.key().0 <= now) {
            due.push(first.remove());
        }
        due
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_has_one_deadline_and_what_is_due_comes_in_order() {
        let now = Instant::now();
        let at = |second| Some(now + Duration::from_secs(second));
        let mut deadlines = Deadlines::new();
        for (number, second) in [(1, 30), (2, 10), (3, 20)] {
            deadlines.set(number, None, at(second), || number);
        }
        deadlines.set(1, at(30), at(5), || unreachable!("it is known"));
        deadlines.set(3, at(20), None, || unreachable!("it is known"));
        assert_eq!(deadlines.len(), 2);
        assert_eq!(deadlines.due(now + Duration::from_secs(4)), [] as [u64; 0]);
        assert_eq!(deadlines.due(now + Duration::from_secs(10)), [1, 2]);
        assert_eq!(deadlines.len(), 0);
    }
}
