//! Locks by key, so that one request at a time fetches the same credential and those that waited
//! find it cached.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// One lock per key in use.
#[derive(Default)]
pub(crate) struct KeyLocks(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl KeyLocks {
    /// Locks a key.
    pub(crate) async fn lock(&self, key: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock();
            locks.retain(|_, lock| lock.strong_count() > 0);
            let used = locks.get(key).and_then(Weak::upgrade);
            used.unwrap_or_else(|| {
                let lock = Arc::default();
                locks.insert(key.to_owned(), Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_same_key_is_locked() {
        let locks = KeyLocks::default();
        let first = locks.lock("a").await;
        locks.lock("b").await;
        assert!(futures_util::FutureExt::now_or_never(locks.lock("a")).is_none());
        drop(first);
        locks.lock("a").await;
        assert!(locks.0.lock().len() <= 1, "unused locks are removed");
    }
}
