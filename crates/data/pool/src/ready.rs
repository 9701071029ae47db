//! Keeps instances ready that their owners want started ahead. What is missing is decided in `provisioned`.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;
use types::{CatalogVersion, FunctionKey, VersionKey, VersionName};

use crate::ledger::Phase;
use crate::provisioned::Provisioned;
use crate::shared::Shared;
use crate::start::Start;
use crate::usage::ProvisionedState;
use crate::version::VersionPool;

impl<C: Default + Send + Sync + 'static> Shared<C> {
    /// Follows the catalog: versions have as many ready from now on as it says.
    pub fn want_provisioned(self: &Arc<Self>) {
        let mut wanted: HashMap<VersionKey, (Arc<CatalogVersion>, u32)> = HashMap::new();
        for function in self.catalog.load().functions.values() {
            for (name, spec) in &function.provisioned {
                if let Some(version) = function.versions.get(name) {
                    wanted.insert(version.key.clone(), (Arc::clone(version), spec.number));
                }
            }
        }
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        for pool in pools {
            let number = wanted.remove(&pool.version.key).map_or(0, |(_, number)| number);
            pool.provisioned.lock().want(number);
        }
        for (version, number) in wanted.into_values() {
            // A pool that is shutting down has nothing ready any more.
            if let Ok(pool) = self.version(&version) {
                pool.provisioned.lock().want(number);
            }
        }
        self.keep_ready(Instant::now());
    }

    /// Starts what is missing, as far as quotas go.
    pub fn keep_ready(self: &Arc<Self>, now: Instant) {
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        for pool in pools.into_iter().filter(|pool| pool.wanted() > 0) {
            let there = {
                let ledger = pool.ledger.lock();
                ledger.open() + ledger.starts()
            };
            let missing = pool.provisioned.lock().missing(there, now);
            for _ in 0..missing {
                let mut ledger = pool.ledger.lock();
                if ledger.phase() != Phase::Open {
                    break;
                }
                if let Err(refusal) = self.capacity.lock().reserve_ahead(&pool.want(now), now) {
                    drop(ledger);
                    pool.provisioned.lock().failed(format!("concurrency exceeded {refusal}"), now);
                    break;
                }
                ledger.begin_ahead();
                drop(ledger);
                Start::begin_ahead(self, &pool);
            }
        }
    }

    /// How far all instances that are kept ready have come, by function and version.
    pub fn all_provisioned(&self) -> Vec<ProvisionedState> {
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        let mut states: Vec<ProvisionedState> = pools
            .iter()
            .filter(|pool| pool.wanted() > 0)
            .map(|pool| {
                let (key, memory_mb) = (pool.version.function.key.clone(), pool.version.spec.memory_mb);
                let open = pool.ledger.lock().open();
                pool.provisioned.lock().state(key, pool.version.key.version, memory_mb, open)
            })
            .collect();
        states.sort_by(|a, b| (&a.function, a.version).cmp(&(&b.function, b.version)));
        states
    }

    /// How far the instances of a function that are kept ready have come, by version.
    pub fn provisioned(&self, function: &FunctionKey) -> Vec<ProvisionedState> {
        let catalog = self.catalog.load();
        let Some(function) = catalog.functions.get(function) else { return Vec::new() };
        let state = |name: &VersionName, number: u32| {
            let version = function.versions.get(name)?;
            let (key, memory_mb) = (function.record.key.clone(), version.spec.memory_mb);
            let Some(pool) = self.versions.read().map.get(&version.key).cloned() else {
                let mut none_yet = Provisioned::default();
                none_yet.want(number);
                return Some(none_yet.state(key, *name, memory_mb, 0));
            };
            let open = pool.ledger.lock().open();
            let mut provisioned = pool.provisioned.lock();
            // The catalog may have changed a moment ago.
            provisioned.want(number);
            Some(provisioned.state(key, *name, memory_mb, open))
        };
        function.provisioned.iter().filter_map(|(name, spec)| state(name, spec.number)).collect()
    }
}
