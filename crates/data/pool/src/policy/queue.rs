//! The requests that wait for an instance of one version, first in, first out.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Identifies a waiter of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WaiterId(u64);

struct Waiter {
    id: WaiterId,
    /// A start in progress was begun for it.
    triggered: bool,
    /// That start is outdated: it serves this waiter and no other.
    outdated: bool,
    since: Instant,
}

/// The queue.
pub(crate) struct Queue {
    waiters: VecDeque<Waiter>,
    /// Waiters that have an outdated start.
    outdated: usize,
    seen: u64,
    /// Since when the queue has not been empty; meaningless while it is.
    busy_since: Option<Instant>,
}

impl Queue {
    pub fn new() -> Self {
        Self { waiters: VecDeque::new(), outdated: 0, seen: 0, busy_since: None }
    }

    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Waiters without an outdated start, which would serve only its own waiter.
    pub fn len_current(&self) -> usize {
        self.waiters.len() - self.outdated
    }

    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Queues a request at the end.
    pub fn push(&mut self, now: Instant) -> WaiterId {
        if self.waiters.is_empty() {
            self.busy_since = Some(now);
        }
        self.seen += 1;
        let id = WaiterId(self.seen);
        self.waiters.push_back(Waiter { id, triggered: false, outdated: false, since: now });
        id
    }

    /// When the longest waiting request began to wait.
    pub fn front_since(&self) -> Option<Instant> {
        self.waiters.front().map(|waiter| waiter.since)
    }

    /// Since when the queue has not been empty.
    pub fn busy_since(&self) -> Option<Instant> {
        self.busy_since.filter(|_| !self.waiters.is_empty())
    }

    /// How many wait before this one, of those without an outdated start.
    pub fn position(&self, id: WaiterId) -> Option<usize> {
        let index = self.index(id)?;
        Some(self.waiters.iter().take(index).filter(|waiter| !waiter.outdated).count())
    }

    /// Whether an outdated start, which serves only this waiter, is in progress for it.
    pub fn is_outdated(&self, id: WaiterId) -> bool {
        self.index(id).is_some_and(|index| self.waiters[index].outdated)
    }

    fn index(&self, id: WaiterId) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.id == id)
    }

    /// Takes a request off the queue; returns whether it was there.
    pub fn take(&mut self, id: WaiterId) -> bool {
        self.index(id).and_then(|index| self.remove(index)).is_some()
    }

    /// Takes the first one off the queue. A waiter with an outdated start has that start for
    /// itself, and comes last.
    pub fn pop(&mut self) -> Option<WaiterId> {
        if self.outdated == 0 {
            return self.waiters.pop_front().map(|waiter| waiter.id);
        }
        self.pop_current().or_else(|| self.remove(0))
    }

    /// Takes the first one without an outdated start.
    pub fn pop_current(&mut self) -> Option<WaiterId> {
        self.waiters.iter().position(|waiter| !waiter.outdated).and_then(|index| self.remove(index))
    }

    fn remove(&mut self, index: usize) -> Option<WaiterId> {
        let waiter = self.waiters.remove(index)?;
        self.outdated -= usize::from(waiter.outdated);
        Some(waiter.id)
    }

    /// Takes all off the queue.
    pub fn drain(&mut self) -> Vec<WaiterId> {
        self.outdated = 0;
        self.waiters.drain(..).map(|waiter| waiter.id).collect()
    }

    /// Marks the first one that has no start of its own as having one.
    pub fn trigger(&mut self) -> Option<WaiterId> {
        let waiter = self.waiters.iter_mut().find(|waiter| !waiter.triggered)?;
        waiter.triggered = true;
        Some(waiter.id)
    }

    /// Marks the starts in progress as outdated.
    pub fn outdate(&mut self) {
        for waiter in &mut self.waiters {
            waiter.outdated = waiter.triggered;
        }
        self.outdated = self.waiters.iter().filter(|waiter| waiter.outdated).count();
    }

    /// Records that the outdated start of one failed: it has none any more.
    pub fn untrigger(&mut self, id: WaiterId) {
        if let Some(waiter) = self.waiters.iter_mut().find(|waiter| waiter.id == id && waiter.outdated) {
            (waiter.triggered, waiter.outdated) = (false, false);
            self.outdated -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_busy_since_it_was_empty_last() {
        let now = Instant::now();
        let at = |second| now + Duration::from_secs(second);
        let mut queue = Queue::new();
        assert_eq!(queue.busy_since(), None);
        let first = queue.push(at(1));
        let second = queue.push(at(2));
        assert_eq!(queue.pop(), Some(first));
        assert_eq!((queue.busy_since(), queue.front_since()), (Some(at(1)), Some(at(2))));
        assert!(queue.take(second) && !queue.take(second));
        assert_eq!((queue.busy_since(), queue.front_since()), (None, None));
        queue.push(at(3));
        assert_eq!(queue.busy_since(), Some(at(3)));
    }
}
