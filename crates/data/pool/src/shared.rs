//! What all handles, leases and tasks of a pool share, and the acts that follow from the ledgers' decisions.
//!
//! Locks are taken in one order: the map of versions, a version's ledger, the capacity; never two ledgers at once. No
//! lock is held while a waiter is answered, because an answer that nobody takes returns its lease.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{CatalogVersion, SharedCatalog, VersionKey};

use crate::config::Config;
use crate::idle::{Candidate, victims};
use crate::instance::{Instance, Lease};
use crate::launch::Launch;
use crate::ledger::{Phase, Released, SlotIndex};
use crate::scale::{Capacity, Load, Refusal};
use crate::start::Start;
use crate::version::{VersionPool, Waiting};

/// The versions that have instances, starts or waiters.
pub(crate) struct Versions<C: Default + Send + Sync + 'static> {
    pub map: HashMap<VersionKey, Arc<VersionPool<C>>>,
    /// No version is added any more.
    pub closed: bool,
}

pub(crate) struct Shared<C: Default + Send + Sync + 'static> {
    pub launch: Arc<dyn Launch>,
    pub catalog: SharedCatalog,
    pub config: Config,
    pub versions: RwLock<Versions<C>>,
    pub capacity: Mutex<Capacity>,
    /// Permits of starts that run at the same time.
    pub starting: Semaphore,
    /// Every task of the pool: one for each instance, and the upkeep.
    pub tasks: TaskTracker,
    /// Ends the upkeep; a child of the token that the pool was given.
    pub stop: CancellationToken,
}

impl<C: Default + Send + Sync + 'static> Shared<C> {
    /// Whether the catalog still serves this version at this generation.
    pub fn in_force(&self, version: &CatalogVersion) -> bool {
        let catalog = self.catalog.load();
        catalog
            .functions
            .get(&version.function.key)
            .and_then(|function| function.versions.get(&version.key.version))
            .is_some_and(|current| current.key == version.key)
    }

    /// Begins the starts that the waiters of a version need, as far as capacity goes. When it does not, makes room if
    /// stopping idle instances can, has the version tried again when something ends, and says what was in the way.
    pub fn start_wanted(self: &Arc<Self>, pool: &Arc<VersionPool<C>>) -> Option<Refusal> {
        let (id, key) = (&pool.version.key.function_id, &pool.version.function.key);
        let mut refusal = None;
        let mut begun = Vec::new();
        {
            let mut ledger = pool.ledger.lock();
            for _ in 0..ledger.starts_wanted() {
                let mut capacity = self.capacity.lock();
                if let Err(refused) = capacity.reserve(id, key, pool.version.spec.memory_mb) {
                    capacity.starve(&pool.version.key);
                    refusal = Some(refused);
                    break;
                }
                let (waiter, who) = ledger.begin_start().expect("a start is wanted for a waiter that has none");
                begun.push((waiter, who.request.clone()));
            }
        }
        for (waiter, request) in begun {
            Start::begin(self, pool, waiter, request);
        }
        if refusal.is_some() {
            self.make_room(pool);
        }
        refusal
    }

    /// Stops idle instances of other versions if that makes room for one of this version.
    fn make_room(&self, pool: &VersionPool<C>) {
        let shortfall = self.capacity.lock().shortfall(&pool.version.key.function_id, pool.version.spec.memory_mb);
        if shortfall.load.is_zero() {
            return;
        }
        let others: Vec<Arc<VersionPool<C>>> = self
            .versions
            .read()
            .map
            .values()
            .filter(|other| {
                other.version.key != pool.version.key
                    && (!shortfall.same_function || other.version.key.function_id == pool.version.key.function_id)
            })
            .cloned()
            .collect();
        let mut candidates = Vec::new();
        for other in others {
            let load = Load::one(other.version.spec.memory_mb);
            let ledger = other.ledger.lock();
            candidates.extend(ledger.idle().map(|(index, since)| Candidate {
                since,
                load,
                name: (Arc::clone(&other), index),
            }));
        }
        for (other, index) in victims(candidates, shortfall.load).unwrap_or_default() {
            let idle = other.ledger.lock().evict(index);
            if let Some(instance) = idle {
                self.end(&instance);
            }
        }
    }

    /// Whether a request of this version that may start nothing has anything to wait for: another instance of its
    /// function that may come free or end, or instances of others that are ending for it.
    pub fn worth_waiting(&self, version: &CatalogVersion) -> bool {
        let capacity = self.capacity.lock();
        let id = &version.key.function_id;
        capacity.has_instances(id) || capacity.shortfall(id, version.spec.memory_mb).load.is_zero()
    }

    /// Tries again the versions that were refused a start.
    pub fn feed(self: &Arc<Self>) {
        let starved = self.capacity.lock().take_starved();
        for key in starved {
            let pool = self.versions.read().map.get(&key).cloned();
            if let Some(pool) = pool {
                self.start_wanted(&pool);
            }
        }
    }

    /// Takes a lease back.
    pub fn release(self: &Arc<Self>, pool: &Arc<VersionPool<C>>, index: SlotIndex, announced: bool) {
        let released = pool.ledger.lock().release(index, announced, Instant::now());
        match released {
            Released::Granted(waiter, instance) => self.grant(pool, waiter, instance, index),
            Released::End(instance) => self.end(&instance),
            Released::Kept | Released::Gone => {}
        }
    }

    fn grant(
        self: &Arc<Self>,
        pool: &Arc<VersionPool<C>>,
        waiter: Waiting<C>,
        instance: Arc<Instance<C>>,
        index: SlotIndex,
    ) {
        let lease = Lease::new(Arc::clone(self), Arc::clone(pool), instance, index, None);
        // A caller that went away meanwhile does not take it; dropping what comes back returns the lease.
        drop(waiter.answer.send(Ok(lease)));
    }

    /// Gives an instance no new leases, and starts another when someone waits for it.
    pub fn retire(self: &Arc<Self>, pool: &Arc<VersionPool<C>>, index: SlotIndex) {
        let idle = pool.ledger.lock().retire(index);
        if let Some(instance) = idle {
            self.end(&instance);
        }
        self.start_wanted(pool);
    }

    /// Kills an instance; its capacity comes free when it has ended.
    pub fn end(&self, instance: &Instance<C>) {
        {
            let mut capacity = self.capacity.lock();
            if !instance.tell_to_end() {
                return;
            }
            capacity.ending(&instance.version.key.function_id, instance.version.spec.memory_mb);
        }
        instance.process.kill();
    }

    /// Drains the versions that the catalog no longer serves: their waiters are told to look again, their starts are given
    /// up, and their instances end when their leases return.
    pub fn reconcile(&self) {
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        for pool in pools {
            if !self.in_force(&pool.version) {
                self.drain_version(&pool, |pool| pool.superseded());
            }
        }
    }

    pub fn drain_version(&self, pool: &VersionPool<C>, why: impl Fn(&VersionPool<C>) -> crate::error::LeaseError) {
        let (idle, waiters) = {
            let mut ledger = pool.ledger.lock();
            if ledger.phase() != Phase::Open {
                return;
            }
            ledger.drain()
        };
        pool.drained.cancel();
        for instance in idle {
            self.end(&instance);
        }
        for waiter in waiters {
            drop(waiter.answer.send(Err(why(pool))));
        }
    }

    /// Freezes what has been idle for long enough, on a thread that may block.
    pub fn rest(&self, now: Instant) {
        let Some(after) = self.config.freeze_after() else { return };
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        let mut resting = Vec::new();
        for pool in pools.into_iter().filter(|pool| pool.may_rest()) {
            let idle = pool.ledger.lock().rest(now, after);
            resting.extend(idle.into_iter().map(|(index, instance)| (Arc::clone(&pool), index, instance)));
        }
        if resting.is_empty() {
            return;
        }
        self.tasks.spawn_blocking(move || {
            for (pool, index, instance) in resting {
                instance.freeze(|| pool.ledger.lock().rests(index));
            }
        });
    }

    /// Ends what has been idle for long enough and forgets versions of which nothing is left.
    pub fn reap(&self, now: Instant) {
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        let mut empty = false;
        for pool in pools {
            let expired = pool.ledger.lock().expire(now, self.config.keep_idle());
            for instance in expired {
                self.end(&instance);
            }
            empty |= pool.ledger.lock().is_empty();
        }
        if empty {
            self.versions.write().map.retain(|_, pool| !pool.ledger.lock().close_if_empty());
        }
    }
}
