//! The requests that wait for an instance of one version, first in, first out.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Names a waiter of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WaiterId(u64);

struct Waiter {
    id: WaiterId,
    /// A start in progress was begun for it.
    triggered: bool,
    since: Instant,
}

/// The queue.
pub(crate) struct Queue {
    waiters: VecDeque<Waiter>,
    seen: u64,
    /// Since when the queue has not been empty; of no meaning while it is.
    busy_since: Option<Instant>,
}

impl Queue {
    pub fn new() -> Self {
        Self { waiters: VecDeque::new(), seen: 0, busy_since: None }
    }

    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Queues a request behind those that wait already.
    pub fn push(&mut self, now: Instant) -> WaiterId {
        if self.waiters.is_empty() {
            self.busy_since = Some(now);
        }
        self.seen += 1;
        let id = WaiterId(self.seen);
        self.waiters.push_back(Waiter { id, triggered: false, since: now });
        id
    }

    /// Since when the one waits that has waited for longest.
    pub fn front_since(&self) -> Option<Instant> {
        self.waiters.front().map(|waiter| waiter.since)
    }

    /// Since when the queue has not been empty.
    pub fn busy_since(&self) -> Option<Instant> {
        self.busy_since.filter(|_| !self.waiters.is_empty())
    }

    /// How many wait before one.
    pub fn position(&self, id: WaiterId) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.id == id)
    }

    /// Takes a request off the queue; whether it was there.
    pub fn take(&mut self, id: WaiterId) -> bool {
        self.position(id).and_then(|position| self.waiters.remove(position)).is_some()
    }

    /// Takes the first one off the queue.
    pub fn pop(&mut self) -> Option<WaiterId> {
        self.waiters.pop_front().map(|waiter| waiter.id)
    }

    /// Takes all off the queue.
    pub fn drain(&mut self) -> Vec<WaiterId> {
        self.waiters.drain(..).map(|waiter| waiter.id).collect()
    }

    /// Marks the first one that has no start of its own as having one.
    pub fn trigger(&mut self) -> Option<WaiterId> {
        let waiter = self.waiters.iter_mut().find(|waiter| !waiter.triggered)?;
        waiter.triggered = true;
        Some(waiter.id)
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
