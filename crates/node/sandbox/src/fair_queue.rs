//! A queue shared by several owners, served round robin.
//!
//! An entry waits for the earlier entries of its own owner, and for at most one entry of each other
//! owner for each of these and for itself, however many are added later.

use std::collections::{HashMap, VecDeque};

use parking_lot::{Condvar, Mutex};

/// The queue.
pub struct FairQueue<T> {
    state: Mutex<State<T>>,
    added: Condvar,
    len_max: usize,
}

struct State<T> {
    /// Owners with entries, the next first.
    owners: VecDeque<String>,
    entries: HashMap<String, VecDeque<T>>,
    len: usize,
    closed: bool,
}

/// Reason for rejecting an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full.
    Full,
    /// The queue is closed.
    Closed,
}

impl<T> FairQueue<T> {
    /// Creates an empty queue of at most `len_max` entries.
    pub fn new(len_max: usize) -> Self {
        let state = State { owners: VecDeque::new(), entries: HashMap::new(), len: 0, closed: false };
        Self { state: Mutex::new(state), added: Condvar::new(), len_max }
    }

    /// Adds an entry of an owner.
    pub fn add(&self, owner: String, entry: T) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.len >= self.len_max {
            return Err(Refused::Full);
        }
        state.add(owner, entry);
        drop(state);
        self.added.notify_one();
        Ok(())
    }

    /// Takes the next entry, or waits for one; `None` when the queue is closed and empty.
    pub fn take(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(entry) = state.take() {
                return Some(entry);
            }
            if state.closed {
                return None;
            }
            self.added.wait(&mut state);
        }
    }

    /// Closes the queue; entries in it can still be taken.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.added.notify_all();
    }
}

impl<T> State<T> {
    fn add(&mut self, owner: String, entry: T) {
        self.len += 1;
        let entries = self.entries.entry(owner.clone()).or_default();
        if entries.is_empty() {
            self.owners.push_back(owner);
        }
        entries.push_back(entry);
    }

    fn take(&mut self) -> Option<T> {
        let owner = self.owners.pop_front()?;
        let entries = self.entries.get_mut(&owner)?;
        let entry = entries.pop_front()?;
        self.len -= 1;
        if entries.is_empty() {
            self.entries.remove(&owner);
        } else {
            self.owners.push_back(owner);
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn add(queue: &FairQueue<(char, usize)>, owner: char, number: usize) {
        queue.add(owner.to_string(), (owner, number)).expect("there is room");
    }

    fn all(queue: &FairQueue<(char, usize)>) -> Vec<(char, usize)> {
        queue.close();
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn a_burst_of_one_function_is_passed_by_the_single_start_of_another() {
        let queue = FairQueue::new(1000);
        (0..500).for_each(|number| add(&queue, 'a', number));
        assert_eq!(queue.take(), Some(('a', 0)));
        add(&queue, 'b', 0);
        let order = all(&queue);
        let place = order.iter().position(|entry| entry.0 == 'b');
        assert_eq!(place, Some(1), "one start of the burst may be before it");
        let burst: Vec<usize> = order.iter().filter(|entry| entry.0 == 'a').map(|entry| entry.1).collect();
        assert!(burst.is_sorted() && burst.len() == 499);
    }

    #[test]
    fn single_starts_of_many_functions_keep_their_order() {
        let queue = FairQueue::new(10);
        "cabd".chars().for_each(|owner| add(&queue, owner, 0));
        assert_eq!(all(&queue).iter().map(|entry| entry.0).collect::<String>(), "cabd");
    }

    #[test]
    fn it_is_bounded_and_ends_when_it_is_closed() {
        let queue = FairQueue::new(2);
        add(&queue, 'a', 0);
        add(&queue, 'b', 0);
        assert_eq!(queue.add("c".to_owned(), ('c', 0)), Err(Refused::Full));
        assert_eq!(all(&queue).len(), 2);
        assert_eq!(queue.add("c".to_owned(), ('c', 0)), Err(Refused::Closed));
    }

    proptest! {
        /// However many are added later, an entry waits for the earlier ones of its own owner, and
        /// for as many of each other owner plus one.
        #[test]
        fn a_wait_is_bounded_by_what_was_there(
            before in proptest::collection::vec(0_usize..5, 0..40),
            later in proptest::collection::vec(0_usize..5, 0..40),
            owner in 0_usize..5,
        ) {
            let queue = FairQueue::new(1000);
            for number in &before {
                queue.add(number.to_string(), (*number, false)).expect("room");
            }
            queue.add(owner.to_string(), (owner, true)).expect("room");
            for number in &later {
                queue.add(number.to_string(), (*number, false)).expect("room");
            }
            queue.close();
            let order: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
            prop_assert_eq!(order.len(), before.len() + later.len() + 1);
            let place = order.iter().position(|entry| entry.1).expect("it is taken");
            let own = before.iter().filter(|number| **number == owner).count();
            prop_assert!(place <= own + 4 * (own + 1), "{place} with {own} of its own before it");
        }
    }
}
