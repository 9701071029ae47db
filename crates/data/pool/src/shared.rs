//! What all handles, leases and tasks of a pool share, and the acts that follow from the ledgers' decisions.
//!
//! Locks are taken in one order: the map of versions, a version's table, the admission; never two ledgers at once. No
//! lock is held while a waiter is answered, because an answer that nobody takes returns its lease.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{CatalogVersion, FunctionId, FunctionKey, SharedCatalog, VersionKey, VersionName};

use crate::config::Config;
use crate::error::LeaseError;
use crate::instance::{Instance, Lease};
use crate::launch::{Launch, LaunchError};
use crate::policy::admission::Scope;
use crate::policy::admission::limit::LimitExceeded;
use crate::policy::admission::quota::Quota;
use crate::policy::admission::{Admission, Load};
use crate::policy::eviction::{Candidate, choose};
use crate::policy::history::History;
use crate::policy::instance_table::{Phase, Released, SlotIndex};
use crate::start::Start;
use crate::version::{VersionPool, Waiting};

/// Why no start was begun for a waiting request.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// What was in the way.
    pub why: InTheWay,
    /// Whether something may come free for it.
    pub room_expected: bool,
}

/// What is in the way of a start.
#[derive(Debug, Clone)]
pub(crate) enum InTheWay {
    /// A limit.
    Limit(LimitExceeded),
    /// The version's last start, which failed.
    Failure(LaunchError),
}

impl Refused {
    /// The answer to a request of the function.
    pub fn error(&self, function: &FunctionKey) -> LeaseError {
        match &self.why {
            InTheWay::Limit(limit) => LeaseError::OverQuota { function: function.clone(), limit: *limit },
            InTheWay::Failure(error) => LeaseError::BackedOff(error.clone()),
        }
    }

    /// Whether it is the better answer also to one that has waited.
    pub fn outlasts_waiting(&self) -> bool {
        match &self.why {
            InTheWay::Limit(limit) => limit.is_quota(),
            InTheWay::Failure(_) => true,
        }
    }
}

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
    pub admission: Mutex<Admission>,
    /// How many versions were refused a start and wait: while none does, nobody has to ask the admission.
    pub claims: AtomicUsize,
    /// How often versions were called that are not in the map now.
    pub histories: Mutex<HashMap<(FunctionId, VersionName), History>>,
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

    /// The pool of a version, made where there is none.
    pub fn version(&self, version: &Arc<CatalogVersion>) -> Result<Arc<VersionPool<C>>, LeaseError> {
        if let Some(pool) = self.versions.read().map.get(&version.key) {
            return Ok(Arc::clone(pool));
        }
        let pool = {
            let mut versions = self.versions.write();
            if versions.closed {
                return Err(LeaseError::Closed { function: version.function.key.clone() });
            }
            let fresh = || {
                let pool = VersionPool::new(Arc::clone(version), &self.config);
                if let Some(history) = self.histories.lock().remove(&pool.name()) {
                    pool.table.lock().remember(history);
                }
                Arc::new(pool)
            };
            Arc::clone(versions.map.entry(version.key.clone()).or_insert_with(fresh))
        };
        pool.set_stopped(self.admission.lock().is_stopped(&version.key.function_id));
        // Asked once it is in the map: a change of the catalog from here on finds it there.
        if !self.in_force(version) {
            self.drain_version(&pool, VersionPool::superseded);
        }
        Ok(pool)
    }

    /// Begins the starts that the waiters of a version need, as far as its failures and the admission let them. Where the
    /// admission does not, makes room if stopping idle instances can, and has the version tried again when something ends. Says
    /// what was in the way and whether there is something to wait for.
    pub fn start_wanted(self: &Arc<Self>, pool: &Arc<VersionPool<C>>) -> Option<Refused> {
        let mut refused = None;
        let mut begun = Vec::new();
        {
            let mut table = pool.table.lock();
            let now = Instant::now();
            for _ in 0..table.starts_wanted(now) {
                let want = pool.want(table.waiting_since().unwrap_or(now));
                if let Some(error) = pool.backoff.lock().in_the_way(now, table.starts()) {
                    let room_expected = table.open() > 0 || table.starts() > 0;
                    refused = Some((Refused { why: InTheWay::Failure(error), room_expected }, want.since));
                    break;
                }
                let mut admission = self.admission.lock();
                if let Err(limit) = admission.reserve(&want, now) {
                    let room_expected = admission.room_expected(&want, limit);
                    admission.claim(&want, limit);
                    self.claims.store(admission.claims(), Ordering::Relaxed);
                    refused = Some((Refused { why: InTheWay::Limit(limit), room_expected }, want.since));
                    break;
                }
                let (waiter, who) = table.begin_start().expect("a start is wanted for a waiter that has none");
                begun.push((waiter, who.request.clone()));
            }
        }
        for (waiter, request) in begun {
            Start::begin(self, pool, waiter, request);
        }
        match refused {
            Some((refused @ Refused { why: InTheWay::Limit(_), .. }, since)) => {
                self.make_room(pool, since);
                Some(refused)
            }
            // Who may not start an instance keeps no room from others.
            refused => {
                if self.unclaim(&pool.version.key) && refused.is_some() {
                    self.feed();
                }
                refused.map(|(refused, _)| refused)
            }
        }
    }

    /// Nobody of a version waits for room any more; whether somebody did.
    pub fn unclaim(&self, version: &VersionKey) -> bool {
        if self.claims.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut admission = self.admission.lock();
        let had_one = admission.unclaim(version);
        self.claims.store(admission.claims(), Ordering::Relaxed);
        had_one
    }

    /// Stops idle instances of other versions if that makes room for one of this version.
    pub fn make_room(&self, pool: &VersionPool<C>, since: Instant) {
        let mut others: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        self.hurry_ending(&others);
        let shortfall = {
            let admission = self.admission.lock();
            let shortfall = admission.shortfall(&pool.version.key, pool.version.spec.memory_mb, since);
            others.retain(|other| {
                let id = &other.version.key.function_id;
                other.version.key != pool.version.key
                    && match shortfall.scope {
                        Scope::Own => *id == pool.version.key.function_id,
                        Scope::Unreserved => !admission.is_reserved(id),
                        Scope::Any => true,
                    }
            });
            shortfall
        };
        if !shortfall.load.is_zero() {
            self.end_idle(&others, shortfall.load, self.config.evict_grace_max());
        }
    }

    /// Bounds the graces of what ends already: somebody waits for room.
    fn hurry_ending(&self, versions: &[Arc<VersionPool<C>>]) {
        let longest = self.config.evict_grace_max();
        for version in versions {
            let hurrying: Vec<Arc<Instance<C>>> =
                version.table.lock().instances().filter(|instance| instance.must_hurry(longest)).cloned().collect();
            for instance in hurrying {
                self.tasks.spawn(async move {
                    if timeout(longest, instance.process.ended()).await.is_err() {
                        instance.process.kill();
                    }
                });
            }
        }
    }

    /// Ends idle instances of these versions, each within `longest`, so that at least `load` comes free; none when they do not
    /// suffice.
    fn end_idle(&self, versions: &[Arc<VersionPool<C>>], load: Load, longest: Duration) {
        let mut candidates = Vec::new();
        for version in versions {
            let load = Load::one(version.version.spec.memory_mb);
            let wanted = version.wanted();
            let table = version.table.lock();
            candidates.extend(table.spare(wanted).map(|(index, since)| Candidate {
                since,
                load,
                name: (version, index),
            }));
        }
        for (other, index) in choose(candidates, load).unwrap_or_default() {
            let idle = other.table.lock().evict(index);
            if let Some(instance) = idle {
                self.end_within(&instance, longest);
            }
        }
    }

    /// Tries again the versions that were refused a start, those that wait for longest first.
    pub fn feed(self: &Arc<Self>) {
        if self.claims.load(Ordering::Relaxed) == 0 {
            return;
        }
        let claimants = self.admission.lock().claimants();
        for key in claimants {
            let pool = self.versions.read().map.get(&key).cloned();
            if let Some(pool) = pool {
                self.start_wanted(&pool);
            } else {
                self.unclaim(&key);
            }
        }
    }

    /// Takes a lease back.
    pub fn release(self: &Arc<Self>, pool: &Arc<VersionPool<C>>, index: SlotIndex, announced: bool, since: Instant) {
        let yields = self.yields(pool);
        let released = {
            let mut table = pool.table.lock();
            if yields {
                // It has this lease, so that nothing is to be ended before the lease is back.
                table.retire(index);
            }
            let now = Instant::now();
            table.release(index, announced, now.saturating_duration_since(since), now)
        };
        match released {
            Released::Granted(waiter, instance) => self.grant(pool, waiter, instance, index),
            Released::End(instance) if yields => self.end_within(&instance, self.config.evict_grace_max()),
            Released::End(instance) => self.end(&instance),
            Released::Kept | Released::Gone => {}
        }
        if yields {
            // Its own requests stand in line from now on.
            self.start_wanted(pool);
        }
    }

    /// Whether an instance that comes free makes room for somebody who has waited for longer than its own requests.
    fn yields(&self, pool: &VersionPool<C>) -> bool {
        self.claims.load(Ordering::Relaxed) > 0 && {
            let wanted = pool.wanted();
            let (own_since, spare) = {
                let table = pool.table.lock();
                (table.waiting_since(), table.open() > wanted as usize)
            };
            spare && self.admission.lock().yields(&pool.version.key, own_since)
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
        let idle = pool.table.lock().retire(index);
        if let Some(instance) = idle {
            self.end(&instance);
        }
        self.start_wanted(pool);
    }

    /// Has an instance end in its own time; its admission comes free when it has ended.
    pub fn end(&self, instance: &Instance<C>) {
        self.end_within(instance, Duration::MAX);
    }

    /// The same, in `longest` where that is less than its own time.
    fn end_within(&self, instance: &Instance<C>, longest: Duration) {
        if self.mark_ending(instance) {
            instance.stop(longest);
        }
    }

    /// Ends an instance at once, also one that was asked to end.
    pub fn kill(&self, instance: &Instance<C>) {
        self.mark_ending(instance);
        instance.process.kill();
    }

    /// Counts its admission as coming free; false when that was done before.
    fn mark_ending(&self, instance: &Instance<C>) -> bool {
        let mut admission = self.admission.lock();
        let first = instance.tell_to_end();
        if first {
            admission.ending(&instance.version.key.function_id, instance.version.spec.memory_mb);
        }
        first
    }

    /// Follows the catalog: its quotas hold from now on, and versions that it no longer serves are drained. Their waiters are
    /// told to look again, their starts are given up, and their instances end when their leases return.
    pub fn reconcile(self: &Arc<Self>) {
        self.admission.lock().set_quota(Quota::of(&self.catalog.load(), &self.config));
        let pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
        for pool in pools {
            pool.set_stopped(self.admission.lock().is_stopped(&pool.version.key.function_id));
            if !pool.check.is_unserved() && !self.in_force(&pool.version) {
                self.drain_version(&pool, |pool| pool.superseded());
            }
        }
        self.want_provisioned();
        self.feed();
        self.keep_quotas();
    }

    /// Ends idle instances above quotas that were lowered. Those that serve go on until they are idle.
    pub fn keep_quotas(&self) {
        let excesses = self.admission.lock().excesses();
        for excess in excesses {
            let mut pools: Vec<Arc<VersionPool<C>>> = self.versions.read().map.values().cloned().collect();
            {
                let admission = self.admission.lock();
                pools.retain(|pool| match (&excess.function, &pool.version.key.function_id) {
                    (Some(function), id) => function == id,
                    (None, id) => !admission.is_reserved(id),
                });
            }
            let idle_mb = |pool: &Arc<VersionPool<C>>| {
                let wanted = pool.wanted();
                pool.table.lock().spare(wanted).count() as u64 * u64::from(pool.version.spec.memory_mb)
            };
            // As much as there is, when it is not enough.
            let memory_mb = excess.memory_mb.min(pools.iter().map(idle_mb).sum());
            self.end_idle(&pools, Load { instances: 0, memory_mb }, Duration::MAX);
        }
    }

    pub fn drain_version(&self, pool: &VersionPool<C>, why: impl Fn(&VersionPool<C>) -> LeaseError) {
        let (idle, waiters) = {
            let mut table = pool.table.lock();
            if table.phase() != Phase::Open {
                return;
            }
            table.drain()
        };
        pool.drained.cancel();
        if let Some(sessions) = &pool.sessions {
            sessions.clear();
        }
        self.unclaim(&pool.version.key);
        for instance in idle {
            self.end(&instance);
        }
        for waiter in waiters {
            drop(waiter.answer.send(Err(why(pool))));
        }
    }
}
