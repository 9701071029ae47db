//! Has instances ready before anybody calls: those that owners want, as `provisioned` decides, and those that calls are
//! expected to need, as `forecast` does.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;
use types::{CatalogVersion, FunctionKey, ProvisionedSpec, VersionKey, VersionName};

use crate::policy::instance_table::Phase;
use crate::shared::Shared;
use crate::start::Start;
use crate::usage::ProvisionedState;
use crate::version::{VersionPool, VersionTable};

impl<C: Default + Send + Sync + 'static> Shared<C> {
    /// Follows the catalog: versions have as many ready from now on as it says.
    pub fn want_provisioned(self: &Arc<Self>) {
        let mut asked: HashMap<VersionKey, (Arc<CatalogVersion>, Arc<ProvisionedSpec>)> = HashMap::new();
        for function in self.catalog.load().functions.values() {
            for (name, spec) in &function.provisioned {
                if let Some(version) = function.versions.get(name) {
                    asked.insert(version.key.clone(), (Arc::clone(version), Arc::clone(spec)));
                }
            }
        }
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        for pool in pools {
            let spec = asked.remove(&pool.version.key).map(|(_, spec)| spec);
            pool.provisioned.lock().follow(spec.as_ref());
        }
        for (version, spec) in asked.into_values() {
            // A pool that is shutting down has nothing ready any more.
            if let Ok(pool) = self.version(&version) {
                pool.provisioned.lock().follow(Some(&spec));
            }
        }
        self.keep_ready(Instant::now());
    }

    /// Starts what is missing at this time, as far as quotas go.
    pub fn keep_ready(self: &Arc<Self>, now: Instant) {
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        for pool in pools {
            pool.update_provisioned(now);
            if pool.wanted() > 0 {
                self.start_missing(&pool, now);
            }
        }
    }

    fn start_missing(self: &Arc<Self>, pool: &Arc<VersionPool<C>>, now: Instant) {
        let there = {
            let table = pool.table.lock();
            table.open() + table.starts()
        };
        let missing = pool.provisioned.lock().missing(there, now);
        for _ in 0..missing {
            let mut table = pool.table.lock();
            let failing = pool.backoff.lock().in_the_way(now, table.starts()).is_some();
            if table.phase() != Phase::Open || failing {
                break;
            }
            if let Err(limit) = self.admission.lock().reserve_ahead(&pool.want(now), now) {
                drop(table);
                pool.provisioned.lock().failed(format!("concurrency exceeded {limit}"), now);
                break;
            }
            table.begin_ahead();
            drop(table);
            Start::begin_ahead(self, pool);
        }
    }

    /// Starts what calls are expected to need soon.
    pub fn start_expected(self: &Arc<Self>, pool: &Arc<VersionPool<C>>, now: Instant) {
        while self.start_one_expected(pool, now, |table| table.missing(table.need(now).start) > 0) {}
    }

    /// Starts the one that the request after this one is expected to need. On the way of requests, so it looks at no more.
    pub fn start_next(self: &Arc<Self>, pool: &Arc<VersionPool<C>>, now: Instant) {
        self.start_one_expected(pool, now, |table| table.lacks_next(now));
    }

    /// Begins a start if it is lacking and there is room. Where there is none nobody has to wait: whoever calls has a start
    /// of the usual way.
    fn start_one_expected(
        self: &Arc<Self>,
        pool: &Arc<VersionPool<C>>,
        now: Instant,
        lacks: impl FnOnce(&VersionTable<C>) -> bool,
    ) -> bool {
        let mut table = pool.table.lock();
        if pool.is_stopped() || !lacks(&table) || pool.backoff.lock().in_the_way(now, table.starts()).is_some() {
            return false;
        }
        if let Err(limit) = self.admission.lock().reserve_ahead(&pool.want(now), now) {
            tracing::debug!(function = %pool.version.function.key, %limit, "no room for an instance ahead of calls");
            return false;
        }
        table.begin_ahead();
        drop(table);
        Start::begin_expected(self, pool);
        true
    }

    /// How far all instances that are kept ready have come, by function and version.
    pub fn all_provisioned(&self) -> Vec<ProvisionedState> {
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        let mut states: Vec<ProvisionedState> = pools
            .iter()
            .filter(|pool| pool.wanted() > 0)
            .map(|pool| {
                let (key, memory_mb) = (pool.version.function.key.clone(), pool.version.spec.memory_mb);
                let open = pool.table.lock().open();
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
        let state = |name: &VersionName, spec: &Arc<ProvisionedSpec>| {
            let version = function.versions.get(name)?;
            let pool = self.versions.read().map.get(&version.key).cloned();
            // The catalog may have changed a moment ago.
            let pool = pool.unwrap_or_else(|| Arc::new(VersionPool::new(Arc::clone(version), &self.config)));
            let new = pool.provisioned.lock().follow(Some(spec));
            if new {
                pool.update_provisioned(Instant::now());
            }
            let open = pool.table.lock().open();
            let (key, memory_mb) = (function.record.key.clone(), version.spec.memory_mb);
            Some(pool.provisioned.lock().state(key, *name, memory_mb, open))
        };
        function.provisioned.iter().filter_map(|(name, spec)| state(name, spec)).collect()
    }
}
