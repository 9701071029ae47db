//! The share of the writer's queue that one function may fill, so that a flood drops only its own
//! lines.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use types::FunctionKey;

/// Queued bytes by function.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<HashMap<FunctionKey, Weak<AtomicUsize>>>);

/// Queued bytes of one function, shared by all its instances.
#[derive(Debug, Clone)]
pub(crate) struct FunctionShare {
    waiting_bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// The share of one line; returned when dropped.
#[derive(Debug)]
pub(crate) struct QueueShare {
    waiting_bytes: Arc<AtomicUsize>,
    bytes: usize,
}

impl Shares {
    /// The share of a function; entries of functions without instances are dropped.
    pub(crate) fn of(&self, function: &FunctionKey, bytes_max: usize) -> FunctionShare {
        let mut shares = self.0.lock();
        if let Some(waiting_bytes) = shares.get(function).and_then(Weak::upgrade) {
            return FunctionShare { waiting_bytes, bytes_max };
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let waiting_bytes = Arc::<AtomicUsize>::default();
        shares.insert(function.clone(), Arc::downgrade(&waiting_bytes));
        FunctionShare { waiting_bytes, bytes_max }
    }
}

impl FunctionShare {
    /// Takes a part of the share; `None` when it is used up.
    pub(crate) fn take(&self, bytes: usize) -> Option<QueueShare> {
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        // Dropping it at once returns bytes beyond the limit.
        let share = QueueShare { waiting_bytes: self.waiting_bytes.clone(), bytes };
        (before.saturating_add(bytes) <= self.bytes_max).then_some(share)
    }
}

impl Drop for QueueShare {
    fn drop(&mut self) {
        self.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::function;

    #[test]
    fn a_function_fills_its_own_share_with_all_its_instances_and_no_other() {
        let shares = Shares::default();
        let (one, same) = (shares.of(&function("one").key, 100), shares.of(&function("one").key, 100));
        let other = shares.of(&function("other").key, 100);
        let held = one.take(60).expect("it fits");
        assert!(same.take(60).is_none() && same.take(40).is_some());
        assert!(other.take(100).is_some());
        drop(held);
        assert!(same.take(100).is_some());
        drop((one, same, other));
        shares.of(&function("third").key, 100);
        assert_eq!(shares.0.lock().len(), 1);
    }
}
