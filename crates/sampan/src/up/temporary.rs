//! Deletes temporary functions (tag `sampan:temporary`) that had no waiting or running events for
//! the time in their tag. This also removes functions that a killed client left behind.

use std::collections::HashMap;
use std::time::Duration;

use events::Events;
use store::Store;
use tokio::time::{Instant, MissedTickBehavior, interval};
use types::{CatalogFunction, FunctionId, Status, tags};

/// Interval of checks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Checks functions until the future is dropped. Idle times are in memory; a restart resets them.
pub async fn run(store: Store, events: Events) {
    let mut idle = Idle::default();
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let catalog = store.catalog().load_full();
        let functions = catalog.functions.values().filter_map(|function| {
            let waiting = events.waiting(Some(&function.record.key));
            Some((function.record.id.clone(), temporary(function)?, is_idle(function.status, waiting)))
        });
        for id in idle.over(functions, Instant::now()) {
            let Some(function) = catalog.functions.values().find(|function| function.record.id == id) else { continue };
            let function = &function.record.key;
            match store.begin_delete(function).await {
                Ok(_) => tracing::info!(%function, "deleting a temporary function without runs"),
                Err(error) => tracing::warn!(%function, %error, "cannot delete a temporary function"),
            }
        }
    }
}

fn temporary(function: &CatalogFunction) -> Option<Duration> {
    // The API rejects invalid values.
    let seconds = tags::temporary_s(&function.record.tags).ok().flatten()?;
    Some(Duration::from_secs(u64::from(seconds)))
}

/// Whether a function has no events and no change in progress.
fn is_idle(status: Status, waiting: u64) -> bool {
    let prepares = matches!(status, Status::Creating | Status::Updating | Status::Publishing | Status::Deleting);
    waiting == 0 && !prepares
}

/// Start of each function's idle time.
#[derive(Default)]
struct Idle(HashMap<FunctionId, Instant>);

impl Idle {
    /// Updates idle times and returns the functions whose idle time reached its limit.
    fn over(&mut self, functions: impl Iterator<Item = (FunctionId, Duration, bool)>, now: Instant) -> Vec<FunctionId> {
        let mut since = HashMap::new();
        let mut over = Vec::new();
        for (id, longest, is_idle) in functions {
            if is_idle {
                let began = self.0.get(&id).copied().unwrap_or(now);
                if now.saturating_duration_since(began) >= longest {
                    over.push(id.clone());
                }
                since.insert(id, began);
            }
        }
        self.0 = since;
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_goes_when_it_was_idle_for_long_enough_without_a_break() {
        let id: FunctionId = "lam-00000001".parse().unwrap();
        let (zero, mut idle) = (Instant::now(), Idle::default());
        let mut look = |second: u64, is_idle| {
            let functions = [(id.clone(), Duration::from_secs(60), is_idle)].into_iter();
            idle.over(functions, zero + Duration::from_secs(second)).len()
        };
        assert_eq!([look(0, true), look(59, true)], [0, 0]);
        assert_eq!(look(61, false), 0, "an event runs");
        assert_eq!([look(62, true), look(121, true), look(122, true)], [0, 0, 1]);
    }

    #[test]
    fn a_function_that_is_made_is_not_idle() {
        assert!(is_idle(Status::Active, 0) && is_idle(Status::CreateFailed, 0));
        assert!(!is_idle(Status::Active, 1) && !is_idle(Status::Creating, 0) && !is_idle(Status::Deleting, 0));
    }
}
