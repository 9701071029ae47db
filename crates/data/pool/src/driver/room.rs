//! Room for starts that admission refused: evicts idle instances of other versions, and caps the
//! stop graces of ending instances.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, timeout};

use super::Driver;
use crate::policy::admission::{Load, Scope};
use crate::policy::eviction::{Candidate, choose};
use crate::version::Version;

impl<C: Default + Send + Sync + 'static> Driver<C> {
    /// Evicts idle instances of other versions if that makes room for one of this version.
    pub fn make_room(self: &Arc<Self>, version: &Version<C>, since: Instant) {
        let mut others = self.all_versions();
        self.cap_graces(&others);
        let (key, memory_mb) = (&version.catalog.key, version.catalog.spec.memory_mb);
        let shortfall = {
            let admission = self.admission.lock();
            let shortfall = admission.shortfall(key, memory_mb, since);
            others.retain(|other| {
                let id = &other.catalog.key.function_id;
                other.catalog.key != *key
                    && match shortfall.scope {
                        Scope::Own => *id == key.function_id,
                        Scope::Unreserved => !admission.is_reserved(id),
                        Scope::Any => true,
                    }
            });
            shortfall
        };
        if !shortfall.load.is_zero() {
            self.evict(&others, shortfall.load, true);
        }
    }

    /// Caps the graces of ending instances: a request waits for their room.
    fn cap_graces(&self, versions: &[Arc<Version<C>>]) {
        let longest = self.config.evict_grace_max();
        for version in versions {
            let ending = version.live_instances();
            for instance in ending.into_iter().filter(|instance| instance.cap_grace(longest)) {
                self.spawn(async move {
                    if timeout(longest, instance.process.ended()).await.is_err() {
                        instance.process.kill();
                    }
                });
            }
        }
    }

    /// Evicts idle instances of these versions so that at least `load` comes free; none when they
    /// do not suffice. `capped` caps the grace of each.
    fn evict(self: &Arc<Self>, versions: &[Arc<Version<C>>], load: Load, capped: bool) {
        let mut candidates = Vec::new();
        for version in versions {
            let load = Load::one(version.catalog.spec.memory_mb);
            let locked = version.locked.lock();
            candidates.extend(locked.state.spare().map(|(slot, since)| Candidate {
                since,
                load,
                name: (version, slot),
            }));
        }
        for (version, slot) in choose(candidates, load).unwrap_or_default() {
            self.apply(version, |locked, _, effects| locked.state.evict(slot, capped, effects));
        }
    }

    /// Evicts idle instances above quotas that were lowered. Busy ones continue until they are
    /// idle.
    pub fn keep_quotas(self: &Arc<Self>) {
        if !self.over_quota.load(Ordering::Relaxed) {
            return;
        }
        let excesses = self.admission.lock().excesses();
        self.over_quota.store(!excesses.is_empty(), Ordering::Relaxed);
        for excess in excesses {
            let mut versions = self.all_versions();
            {
                let admission = self.admission.lock();
                versions.retain(|version| match (&excess.function, &version.catalog.key.function_id) {
                    (Some(function), id) => function == id,
                    (None, id) => !admission.is_reserved(id),
                });
            }
            let idle_mb = |version: &Arc<Version<C>>| {
                version.locked.lock().state.spare().count() as u64 * u64::from(version.catalog.spec.memory_mb)
            };
            // All idle memory, when it does not suffice.
            let memory_mb = excess.memory_mb.min(versions.iter().map(idle_mb).sum());
            self.evict(&versions, Load { instances: 0, memory_mb }, false);
        }
    }
}
