//! Ticks that wait for room in the queue: only the newest of each timer. Pure.
//!
//! A function whose queue is full for long has one tick of each timer waiting, as after a down
//! time.

use std::collections::HashMap;

use types::TriggerId;

/// The newest time of each timer with a waiting tick, Unix milliseconds.
#[derive(Debug, Default)]
pub(super) struct Waiting(HashMap<TriggerId, i64>);

impl Waiting {
    /// Records another tick of a timer: it replaces an older waiting one.
    pub(super) fn arrive(&mut self, id: &TriggerId, at_ms: i64) {
        if let Some(newest_ms) = self.0.get_mut(id) {
            *newest_ms = at_ms.max(*newest_ms);
        }
    }

    /// Records that a tick found no room; returns whether it may keep waiting.
    pub(super) fn wait(&mut self, id: &TriggerId, at_ms: i64) -> bool {
        let newest_ms = self.0.entry(id.clone()).or_insert(at_ms);
        *newest_ms = at_ms.max(*newest_ms);
        *newest_ms == at_ms
    }

    /// Removes a waiting tick.
    pub(super) fn end(&mut self, id: &TriggerId, at_ms: i64) {
        if self.0.get(id) == Some(&at_ms) {
            self.0.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_timer_the_newest_tick_waits() {
        let (mut waiting, a, b) = (Waiting::default(), TriggerId::random(), TriggerId::random());
        waiting.arrive(&a, 1);
        assert!(waiting.0.is_empty(), "nothing waits yet");
        assert!(waiting.wait(&a, 1) && waiting.wait(&b, 1));
        assert!(waiting.wait(&a, 1), "it waits on");
        waiting.arrive(&a, 3);
        assert!(!waiting.wait(&a, 1) && waiting.wait(&b, 1), "a newer one came");
        waiting.end(&a, 1);
        assert!(!waiting.wait(&a, 2) && waiting.wait(&a, 3), "the end of an older one changes nothing");
        waiting.end(&a, 3);
        waiting.end(&b, 1);
        assert!(waiting.0.is_empty());
    }
}
