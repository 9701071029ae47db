//! The task that keeps the pool in step with the catalog, and freezes and stops instances that have been idle for long
//! enough.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::shared::Shared;

/// Runs until the pool stops. A missed change is made up for at the next look over the idle instances.
pub(crate) async fn run<C: Default + Send + Sync + 'static>(shared: Arc<Shared<C>>, mut changes: watch::Receiver<u64>) {
    let mut tick = interval(shared.config.reap_interval());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut announced = true;
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            changed = changes.changed(), if announced => {
                // Whoever announced changes is gone; the ticks go on.
                announced = changed.is_ok();
                shared.reconcile();
            }
            _ = tick.tick() => {
                shared.reconcile();
                shared.reap(Instant::now());
                shared.keep_ready(Instant::now());
                shared.rest(Instant::now());
            }
        }
    }
}
