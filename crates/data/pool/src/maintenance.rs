//! The task that keeps the pool in step with the catalog, and freezes and stops instances that have been idle for long
//! enough.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::policy::instance_table::Phase;
use crate::sessions::Sessions;
use crate::shared::Shared;
use crate::version::VersionPool;

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

impl<C: Default + Send + Sync + 'static> Shared<C> {
    /// Freezes what has been idle for long enough, on a thread that may block.
    fn rest(&self, now: Instant) {
        let Some(after) = self.config.freeze_after() else { return };
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        let (mut resting, mut silent) = (Vec::new(), Vec::new());
        for pool in pools.into_iter().filter(|pool| pool.may_rest()) {
            let idle = pool.table.lock().rest(now, after);
            resting.extend(idle.into_iter().map(|(index, instance)| (Arc::clone(&pool), index, instance)));
            let sessions = pool.sessions.iter().flat_map(Sessions::silent);
            silent.extend(sessions.filter(|known| now.saturating_duration_since(known.since) >= after));
        }
        if resting.is_empty() && silent.is_empty() {
            return;
        }
        self.tasks.spawn_blocking(move || {
            for (pool, index, instance) in resting {
                instance.freeze(|| pool.table.lock().rests(index));
            }
            for known in silent {
                known.instance.freeze(|| known.instance.is_silent());
            }
        });
    }

    /// Ends what has been idle for long enough or is above a quota, tries again what was refused, and forgets versions of
    /// which nothing is left.
    fn reap(self: &Arc<Self>, now: Instant) {
        self.feed();
        self.keep_quotas();
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        let mut empty = false;
        for pool in pools {
            if let Some(sessions) = &pool.sessions {
                sessions.expire(now);
            }
            let wanted = pool.wanted();
            let expired = pool.table.lock().expire(now, wanted);
            for instance in expired {
                self.end(&instance);
            }
            if pool.backoff.lock().is_due(now) {
                self.start_wanted(&pool);
            }
            self.start_expected(&pool, now);
            empty |= pool.table.lock().is_empty();
        }
        if empty {
            let sessions_end = |pool: &VersionPool<C>| pool.sessions.as_ref().is_none_or(Sessions::is_empty);
            let goes = |pool: &VersionPool<C>| {
                let mut table = pool.table.lock();
                // Its check waits for room, or its failures are remembered.
                let waits = table.phase() == Phase::Open
                    && (pool.check.is_unserved() || pool.backoff.lock().is_remembered(now));
                !waits
                    && !pool.is_asked_for()
                    && sessions_end(pool)
                    && !table.waits_for_calls(now)
                    && table.close_if_empty()
            };
            let mut gone = Vec::new();
            self.versions.write().map.retain(|_, pool| {
                let goes = goes(pool);
                if goes && !pool.check.is_unserved() {
                    gone.push((pool.name(), pool.table.lock().history()));
                }
                !goes
            });
            let mut histories = self.histories.lock();
            for (name, history) in gone {
                if histories.len() < self.config.keep_histories_max {
                    histories.insert(name, history);
                }
            }
        }
    }
}
