//! One question at a time for the same thing: those that want what is being asked for wait, and find it remembered. Must
//! not know what is asked.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Turns by name.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody else has the turn of this name.
    pub(crate) async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock();
            turns.retain(|_, turn| turn.strong_count() > 0);
            let waiting = turns.get(name).and_then(Weak::upgrade);
            waiting.unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(name.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_same_name_waits() {
        let turns = Turns::default();
        let first = turns.take("a").await;
        turns.take("b").await;
        assert!(futures_util::FutureExt::now_or_never(turns.take("a")).is_none());
        drop(first);
        turns.take("a").await;
        assert!(turns.0.lock().len() <= 1, "ended turns are forgotten");
    }
}
