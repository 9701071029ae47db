//! The requests that wait for an instance of one version, first in, first out.

use std::collections::VecDeque;

use tokio::time::Instant;

/// Names a waiter of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WaiterId(u64);

impl WaiterId {
    /// Of a start that nobody waits for.
    pub const NOBODY: Self = Self(0);
}

struct Waiter<W> {
    id: WaiterId,
    /// A start in progress was begun for it.
    triggered: bool,
    since: Instant,
    who: W,
}

/// The queue; `W` is whoever waits.
pub(crate) struct Queue<W> {
    waiters: VecDeque<Waiter<W>>,
    seen: u64,
    /// Since when somebody has been waiting all the time; of no meaning while nobody waits.
    busy_since: Option<Instant>,
}

impl<W> Queue<W> {
    pub fn new() -> Self {
        Self { waiters: VecDeque::new(), seen: 0, busy_since: None }
    }

    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Queues someone behind those that wait already.
    pub fn push(&mut self, who: W, now: Instant) -> WaiterId {
        if self.waiters.is_empty() {
            self.busy_since = Some(now);
        }
        self.seen += 1;
        let id = WaiterId(self.seen);
        self.waiters.push_back(Waiter { id, triggered: false, since: now, who });
        id
    }

    /// Since when the one waits that has waited for longest.
    pub fn front_since(&self) -> Option<Instant> {
        self.waiters.front().map(|waiter| waiter.since)
    }

    /// Since when somebody has been waiting all the time, not always the same.
    pub fn busy_since(&self) -> Option<Instant> {
        self.busy_since.filter(|_| !self.waiters.is_empty())
    }

    /// How many wait before someone.
    pub fn position(&self, id: WaiterId) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.id == id)
    }

    /// Takes someone off the queue.
    pub fn take(&mut self, id: WaiterId) -> Option<W> {
        let position = self.position(id)?;
        self.waiters.remove(position).map(|waiter| waiter.who)
    }

    /// Takes the first one off the queue.
    pub fn pop(&mut self) -> Option<W> {
        self.waiters.pop_front().map(|waiter| waiter.who)
    }

    /// Takes everyone off the queue.
    pub fn drain(&mut self) -> Vec<W> {
        self.waiters.drain(..).map(|waiter| waiter.who).collect()
    }

    /// Marks the first one that has no start of its own as having one.
    pub fn trigger(&mut self) -> Option<(WaiterId, &W)> {
        let waiter = self.waiters.iter_mut().find(|waiter| !waiter.triggered)?;
        waiter.triggered = true;
        Some((waiter.id, &waiter.who))
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
        queue.push("a", at(1));
        let second = queue.push("b", at(2));
        assert_eq!(queue.pop(), Some("a"));
        assert_eq!((queue.busy_since(), queue.front_since()), (Some(at(1)), Some(at(2))));
        assert_eq!(queue.take(second), Some("b"));
        assert_eq!((queue.busy_since(), queue.front_since()), (None, None));
        queue.push("c", at(3));
        assert_eq!(queue.busy_since(), Some(at(3)));
    }
}
