//! The task that follows the catalog, and freezes, ends and starts instances at their deadlines.
//!
//! Each version has a deadline, and a pass takes only the versions whose deadline has passed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use types::{Catalog, CatalogVersion, ProvisionedSpec, VersionKey};

use super::{Driver, resolve};
use crate::policy::admission::quota::Quota;
use crate::policy::instance_table::Phase;
use crate::version::Version;

/// Runs until the pool stops. A missed change is caught up by the next pass.
pub(super) async fn run<C: Default + Send + Sync + 'static>(driver: Arc<Driver<C>>, mut changes: watch::Receiver<u64>) {
    let mut tick = interval(driver.config.reap_interval());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The resync finds changes that a change set left out.
    let resync_interval = driver.config.catalog_resync_interval();
    let mut resync = interval_at(Instant::now() + resync_interval, resync_interval);
    resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut announced = true;
    loop {
        tokio::select! {
            biased;
            () = driver.stop.cancelled() => return,
            changed = changes.changed(), if announced => {
                // When the sender is gone the ticks continue.
                announced = changed.is_ok();
                driver.follow_catalog();
            }
            _ = resync.tick() => driver.follow_all(&driver.catalog.load_full()),
            _ = tick.tick() => {
                driver.look(Instant::now());
            }
        }
    }
}

pub(super) fn unix_ms() -> i64 {
    let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}

/// The versions for which a catalog wants provisioned instances.
type Asked = HashMap<VersionKey, (Arc<CatalogVersion>, Arc<ProvisionedSpec>)>;

fn provisioned_in(catalog: &Catalog) -> Asked {
    let mut asked = Asked::new();
    for function in catalog.functions.values() {
        for (name, spec) in &function.provisioned {
            if let Some(version) = function.versions.get(name) {
                asked.insert(version.key.clone(), (Arc::clone(version), Arc::clone(spec)));
            }
        }
    }
    asked
}

impl<C: Default + Send + Sync + 'static> Driver<C> {
    /// Follows the catalog: applies its quotas, drains versions that it no longer serves, and
    /// provisions as many instances as it wants. Examines the functions that changed, or all of
    /// them when the changes are not retained.
    pub fn follow_catalog(self: &Arc<Self>) {
        let catalog = self.catalog.load_full();
        let seen = self.followed.swap(catalog.revision, Ordering::Relaxed);
        if seen != catalog.revision && self.follow_changes(&catalog, seen).is_none() {
            self.follow_all(&catalog);
        }
    }

    /// Examines every function of the catalog and every version of the pool.
    fn follow_all(self: &Arc<Self>, catalog: &Catalog) {
        self.admission.lock().set_quota(Quota::of(catalog, &self.config));
        self.over_quota.store(true, Ordering::Relaxed);
        let mut asked = provisioned_in(catalog);
        for version in self.all_versions() {
            let spec = asked.remove(&version.catalog.key).map(|(_, spec)| spec);
            self.follow_version(&version, spec.as_ref());
        }
        for (catalog, spec) in asked.into_values() {
            // A pool that is shutting down starts no instances.
            if let Ok(version) = self.version(&catalog) {
                self.follow_version(&version, Some(&spec));
            }
        }
        self.retry_claims();
        self.keep_quotas();
    }

    /// Applies the catalog to one version of the pool; `spec` is the provisioned concurrency that
    /// the catalog wants.
    pub(super) fn follow_version(self: &Arc<Self>, version: &Arc<Version<C>>, spec: Option<&Arc<ProvisionedSpec>>) {
        let stopped = self.admission.lock().is_stopped(&version.catalog.key.function_id);
        let (unserved, provisioned) = {
            let mut locked = version.locked.lock();
            let changed = locked.state.is_stopped() != stopped;
            locked.state.set_stopped(stopped);
            let provisioned = locked.state.is_provisioned();
            let changed = locked.state.provision(spec) || changed;
            (locked.state.is_unserved(), changed || provisioned)
        };
        if !unserved && !self.in_force(&version.catalog) {
            self.drain_version(version, &version.superseded());
        } else if provisioned {
            self.look_at(version, Instant::now());
        }
    }

    /// Follows the catalog if it changed, retries refused starts, and does due work; returns how
    /// many versions it examined.
    pub fn look(self: &Arc<Self>, now: Instant) -> usize {
        self.follow_catalog();
        self.retry_claims();
        self.keep_quotas();
        let due = self.deadlines.lock().due(now);
        due.iter().for_each(|version| self.look_at(version, now));
        due.len()
    }

    /// Does the due work of a version, and sets its next deadline.
    fn look_at(self: &Arc<Self>, version: &Arc<Version<C>>, now: Instant) {
        let (mut effects, unix_ms) = (Vec::new(), unix_ms());
        let (actions, retry) = {
            let mut locked = version.locked.lock();
            self.set_deadline(version, &mut locked.state, None);
            if locked.state.table.phase() == Phase::Closed {
                return;
            }
            locked.state.expire(now, unix_ms, &mut effects);
            if locked.state.lacks_prewarmed(now) {
                let mut admission = self.admission.lock();
                locked.state.start_provisioned(&mut admission, now, &mut effects);
                locked.state.start_forecast(&mut admission, now, &mut effects);
            }
            let retry = locked.state.backoff_is_over(now) && locked.state.wants_starts(now);
            (resolve(&mut locked, effects, None), retry)
        };
        self.perform(version, actions);
        if retry {
            self.start_wanted(version);
        }
        if !self.close_if_over(version, now) {
            let mut locked = version.locked.lock();
            let next = locked.state.next_deadline(now, unix_ms);
            // Events in the meantime may need an earlier pass.
            let at = locked.state.deadline().into_iter().chain(next).min();
            self.set_deadline(version, &mut locked.state, at);
        }
    }

    /// Takes a version out of the pool when it has no instances, starts or waiters and no pending
    /// work.
    fn close_if_over(&self, version: &Version<C>, now: Instant) -> bool {
        if !version.locked.lock().state.is_over(now) {
            return false;
        }
        let mut versions = self.versions.write();
        let mut locked = version.locked.lock();
        // It may have been called meanwhile.
        if !locked.state.is_over(now) {
            return false;
        }
        let history = locked.state.close();
        versions.map.remove(&version.catalog.key);
        let mut histories = self.histories.lock();
        if !locked.state.is_unserved() && histories.len() < self.config.keep_histories_max {
            histories.insert(locked.state.name(), history);
        }
        true
    }
}
