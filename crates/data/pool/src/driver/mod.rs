//! The one place that performs effects: applies events to the states of versions, and starts,
//! serves, freezes and stops instances as the returned effects require.

mod follow;
mod freezing;
mod maintenance;
mod prewarm;
mod room;
mod start;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{CatalogVersion, FunctionId, SharedCatalog, VersionKey, VersionName};

use crate::claim_count::ClaimCount;
use crate::config::Config;
use crate::error::LeaseError;
use crate::instance::Instance;
use crate::launch::{ColdStart, Launch};
use crate::lock::{Rank, RankedMutex, RankedRwLock, assert_none_held};
use crate::policy::admission::Admission;
use crate::policy::admission::quota::Quota;
use crate::policy::deadlines::Deadlines;
use crate::policy::history::History;
use crate::policy::instance_table::SlotIndex;
use crate::state::{Effect, InTheWay, Refused, VersionState};
use crate::version::{Action, Locked, Version};

use self::start::Start;

/// The versions that have instances, starts or waiters.
pub(crate) struct Versions<C> {
    map: HashMap<VersionKey, Arc<Version<C>>, RandomState>,
    /// No further versions are added.
    pub closed: bool,
}

/// State shared by all handles, leases and tasks of a pool. The order of its locks is in
/// [`crate::lock`].
pub(crate) struct Driver<C> {
    launch: Arc<dyn Launch>,
    catalog: SharedCatalog,
    pub config: Config,
    pub versions: RankedRwLock<Versions<C>>,
    pub admission: RankedMutex<Admission>,
    /// Number of versions that were refused a start and wait.
    claims: ClaimCount,
    /// Whether a quota was lowered below what is used.
    over_quota: AtomicBool,
    deadlines: RankedMutex<Deadlines<Arc<Version<C>>>>,
    /// Histories of versions that are not in the map now.
    histories: RankedMutex<HashMap<(FunctionId, VersionName), History>>,
    /// Numbers given to versions so far.
    numbers: AtomicU64,
    /// The revision of the catalog that was last followed.
    followed: AtomicU64,
    /// Permits of starts that run at the same time.
    starting: Semaphore,
    /// Idle instances that are about to be frozen.
    freezing: freezing::Freezing,
    /// Every task of the pool: one for each instance, and maintenance.
    pub tasks: TaskTracker,
    /// The runtime of these tasks, independent of the calling thread's: they outlive its runtime.
    pub runtime: Handle,
    /// Ends maintenance; a child of the token that the pool was created with.
    pub stop: CancellationToken,
}

impl<C: Default + Send + Sync + 'static> Driver<C> {
    pub fn new(launch: Arc<dyn Launch>, catalog: SharedCatalog, config: Config, shutdown: &CancellationToken) -> Self {
        let mut admission = Admission::new(&config);
        admission.set_quota(Quota::of(&catalog.load(), &config));
        Self {
            launch,
            catalog,
            versions: RankedRwLock::new(Rank::Versions, Versions { map: HashMap::default(), closed: false }),
            admission: RankedMutex::new(Rank::Admission, admission),
            claims: ClaimCount::new(),
            over_quota: AtomicBool::new(false),
            deadlines: RankedMutex::new(Rank::Deadlines, Deadlines::new()),
            histories: RankedMutex::new(Rank::Histories, HashMap::new()),
            numbers: AtomicU64::new(0),
            followed: AtomicU64::new(u64::MAX),
            starting: Semaphore::new(usize::try_from(config.starts_parallel_max.max(1)).unwrap_or(usize::MAX)),
            freezing: freezing::Freezing::default(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            stop: shutdown.child_token(),
            config,
        }
    }

    /// Runs a task of the pool.
    pub fn spawn(&self, task: impl Future<Output: Send> + Send + 'static) {
        self.tasks.spawn_on(async { drop(task.await) }, &self.runtime);
    }

    /// Spawns maintenance, which runs until the pool stops.
    pub fn maintain(self: &Arc<Self>, changes: watch::Receiver<u64>) {
        self.spawn(supervisor::essential("pool", maintenance::run(Arc::clone(self), changes)));
    }

    /// Whether the catalog still serves this version at this generation.
    pub fn in_force(&self, version: &CatalogVersion) -> bool {
        let catalog = self.catalog.load();
        catalog
            .functions
            .get(&version.function.key)
            .and_then(|function| function.versions.get(&version.key.version))
            .is_some_and(|current| current.key == version.key)
    }

    /// Returns a version of the catalog, adding it to the pool when it is missing.
    pub fn version(self: &Arc<Self>, catalog: &Arc<CatalogVersion>) -> Result<Arc<Version<C>>, LeaseError> {
        if let Some(version) = self.versions.read().map.get(&catalog.key) {
            return Ok(Arc::clone(version));
        }
        let take = |name: (FunctionId, VersionName)| self.histories.lock().remove(&name);
        let version = self.add(catalog, take, false)?;
        // Checked once it is in the map: a later change of the catalog finds it there.
        if !self.in_force(catalog) {
            self.drain_version(&version, &version.superseded());
        }
        Ok(version)
    }

    /// Returns a version that the catalog does not have yet, adding it to the pool.
    pub fn unserved_version(self: &Arc<Self>, catalog: &Arc<CatalogVersion>) -> Result<Arc<Version<C>>, LeaseError> {
        // The previous version may still be called, so its history stays until this one takes over.
        self.add(catalog, |name| self.histories.lock().get(&name).cloned(), true)
    }

    fn add(
        self: &Arc<Self>,
        catalog: &Arc<CatalogVersion>,
        history: impl FnOnce((FunctionId, VersionName)) -> Option<History>,
        unserved: bool,
    ) -> Result<Arc<Version<C>>, LeaseError> {
        let version = {
            let mut versions = self.versions.write();
            if versions.closed {
                return Err(LeaseError::Closed { function: catalog.function.key.clone() });
            }
            let fresh = || {
                let number = self.numbers.fetch_add(1, Ordering::Relaxed);
                let known = history((catalog.key.function_id.clone(), catalog.key.version));
                Arc::new(Version::new(number, Arc::clone(catalog), known, unserved, &self.config))
            };
            Arc::clone(versions.map.entry(catalog.key.clone()).or_insert_with(fresh))
        };
        self.apply(&version, |locked, _, _| {
            locked.state.set_stopped(self.admission.lock().is_stopped(&catalog.key.function_id));
        });
        Ok(version)
    }

    /// The versions in the pool.
    pub fn all_versions(&self) -> Vec<Arc<Version<C>>> {
        self.versions.read().map.values().cloned().collect()
    }

    /// Applies an event to a version's state, and performs the effects. Schedules maintenance of
    /// the version.
    pub fn apply<R>(
        self: &Arc<Self>,
        version: &Arc<Version<C>>,
        transition: impl FnOnce(&mut Locked<C>, Instant, &mut Vec<Effect>) -> R,
    ) -> R {
        let (mut effects, now) = (Vec::new(), Instant::now());
        let (result, actions) = {
            let mut locked = version.locked.lock();
            let result = transition(&mut locked, now, &mut effects);
            if locked.state.deadline().is_none_or(|deadline| deadline > now) {
                self.set_deadline(version, &mut locked.state, Some(now));
            }
            (result, resolve(&mut locked, effects, None))
        };
        self.perform(version, actions);
        result
    }

    /// Sets when maintenance examines a version.
    fn set_deadline(&self, version: &Arc<Version<C>>, state: &mut VersionState, at: Option<Instant>) {
        let before = state.set_deadline(at);
        self.deadlines.lock().set(version.number, before, at, || Arc::clone(version));
    }

    /// Sets the deadline of a version that was just used: only a comparison, once a second at most.
    #[inline]
    pub fn note_use(&self, version: &Arc<Version<C>>, state: &mut VersionState, now: Instant) {
        if let Some(at) = state.use_deadline(now) {
            self.set_deadline(version, state, Some(at));
        }
    }

    /// Performs effects, in their order.
    fn perform(self: &Arc<Self>, version: &Arc<Version<C>>, actions: Vec<Action<C>>) {
        let mut freezes = Vec::new();
        for action in actions {
            match action {
                Action::Freeze(instance, slot) => freezes.push((instance, slot)),
                other => self.perform_one(version, other),
            }
        }
        if !freezes.is_empty() {
            self.freeze(version, freezes);
        }
    }

    fn perform_one(self: &Arc<Self>, version: &Arc<Version<C>>, action: Action<C>) {
        assert_none_held();
        match action {
            Action::Start(reason, restarts, request, event) => {
                Start::begin(self, version, (reason, restarts), (request, event));
            }
            Action::Serve(answer, grant) => {
                // A caller that has gone away does not take it.
                if let Err(Ok(grant)) = answer.send(Ok(grant)) {
                    self.release(version, grant.slot, false, Instant::now());
                }
            }
            Action::Refuse(answer, error) => drop(answer.send(Err(error))),
            Action::Stop(instance, true) => self.stop_within(&instance, self.config.evict_grace_max()),
            Action::Stop(instance, false) => self.stop_within(&instance, Duration::MAX),
            Action::Freeze(instance, slot) => self.freeze(version, vec![(instance, slot)]),
            Action::Return(held) => self.release(version, held.slot, false, held.since),
            Action::Forget(instance) => drop(instance),
        }
    }

    /// Freezes instances that are still idle, on a thread that may block.
    fn freeze(&self, version: &Arc<Version<C>>, instances: Vec<(Arc<Instance<C>>, SlotIndex)>) {
        let version = Arc::clone(version);
        self.freezing.add(&self.tasks, &self.runtime, move || {
            for (instance, slot) in instances {
                instance.freeze(|| match version.has_sessions {
                    true => instance.is_silent(),
                    false => version.locked.lock().state.may_freeze(slot),
                });
            }
        });
    }

    /// Takes a slot back from a request that had it since then; `announced` when the return was
    /// announced before.
    pub fn release(self: &Arc<Self>, version: &Arc<Version<C>>, slot: SlotIndex, announced: bool, since: Instant) {
        let (action, yields) = {
            let mut locked = version.locked.lock();
            // Under this lock, so that a version that claims room from now on finds the instance
            // idle.
            let yields = self.claims.any() && self.yields(version, &locked.state);
            let now = Instant::now();
            let out = now.saturating_duration_since(since);
            let effect = locked.state.release(slot, announced, out, yields, now);
            self.note_use(version, &mut locked.state, now);
            (effect.and_then(|effect| locked.resolve(effect, &mut None)), yields)
        };
        if let Some(action) = action {
            self.perform_one(version, action);
        }
        if yields {
            // Its own requests queue from now on.
            self.start_wanted(version);
        }
    }

    /// Whether an instance that comes free makes room for a request that has waited longer than its
    /// own.
    fn yields(&self, version: &Version<C>, state: &VersionState) -> bool {
        state.has_spare() && self.admission.lock().yields(&version.catalog.key, state.table.waiting_since())
    }

    /// Begins the starts that the waiters of a version need, as far as its back-off and admission
    /// allow. Where admission refuses, evicts idle instances if that makes room, and has the
    /// version retried when an instance ends. Returns the refusal.
    pub fn start_wanted(self: &Arc<Self>, version: &Arc<Version<C>>) -> Option<Refused> {
        let refused = self.apply(version, |locked, now, effects| {
            if !locked.state.wants_starts(now) {
                return None;
            }
            self.with_claims(|admission| locked.state.start_wanted(admission, now, effects))
        });
        match refused {
            // A start refused by the rate limit needs no room.
            Some(Refused { why: InTheWay::Limit(limit), .. }) if limit.is_of_starts() => {}
            Some(Refused { why: InTheWay::Limit(_), since, .. }) => self.make_room(version, since),
            // A version that may not start an instance reserves no room.
            _ => {
                if self.unclaim(&version.catalog.key) && refused.is_some() {
                    self.retry_claims();
                }
            }
        }
        refused
    }

    /// Calls admission with an operation that may change the claims.
    fn with_claims<R>(&self, ask: impl FnOnce(&mut Admission) -> R) -> R {
        let mut admission = self.admission.lock();
        let answer = ask(&mut admission);
        self.claims.set(admission.claims());
        answer
    }

    /// Removes the claim of a version; returns whether it had one.
    pub fn unclaim(&self, version: &VersionKey) -> bool {
        self.claims.any() && self.with_claims(|admission| admission.unclaim(version))
    }

    /// Retries the versions that were refused a start, the longest waiting first.
    pub fn retry_claims(self: &Arc<Self>) {
        if !self.claims.any() {
            return;
        }
        let claimants = self.admission.lock().claimants();
        for key in claimants {
            let version = self.versions.read().map.get(&key).cloned();
            match version {
                Some(version) => drop(self.start_wanted(&version)),
                None => drop(self.unclaim(&key)),
            }
        }
    }

    /// Gives an instance no new leases, and starts another when a request waits for it.
    pub fn retire(self: &Arc<Self>, version: &Arc<Version<C>>, slot: SlotIndex) {
        self.apply(version, |locked, _, effects| locked.state.retire(slot, effects));
        self.start_wanted(version);
    }

    /// Replaces the instances of a version, each when its leases have returned. New requests, and
    /// sessions, go to other instances, which start with the changed configuration.
    pub fn restart(self: &Arc<Self>, version: &Arc<Version<C>>) {
        self.apply(version, |locked, _, effects| locked.state.restart(effects));
        self.start_wanted(version);
    }

    /// Stops an instance within `longest`; its room comes free when it has ended.
    pub fn stop_within(&self, instance: &Instance<C>, longest: Duration) {
        if self.mark_ending(instance) {
            instance.stop(longest);
        }
    }

    /// Kills an instance at once, even if a stop is in progress.
    pub fn kill(&self, instance: &Instance<C>) {
        self.mark_ending(instance);
        instance.process.kill();
    }

    /// Counts its room as coming free; false when it was counted before.
    fn mark_ending(&self, instance: &Instance<C>) -> bool {
        let mut admission = self.admission.lock();
        let first = instance.tell_to_end();
        if first {
            admission.ending(&instance.version.key.function_id, instance.version.spec.memory_mb);
        }
        first
    }

    /// Refuses the waiting requests of a version, cancels its starts, and ends its instances as
    /// their leases return.
    pub fn drain_version(self: &Arc<Self>, version: &Arc<Version<C>>, error: &LeaseError) {
        if self.apply(version, |locked, _, effects| locked.state.drain(error, effects)) {
            version.drained.cancel();
            self.unclaim(&version.catalog.key);
        }
    }

    /// Marks a version whose start check succeeded and that is now in the catalog as an ordinary
    /// one.
    pub fn serve_checked(self: &Arc<Self>, version: &Arc<Version<C>>) {
        let name = self.apply(version, |locked, _, _| {
            locked.state.set_unserved(false);
            locked.state.name()
        });
        self.histories.lock().remove(&name);
    }
}

/// Resolves effects to the instances and requests that they concern.
fn resolve<C>(locked: &mut Locked<C>, effects: Vec<Effect>, mut cold: Option<ColdStart>) -> Vec<Action<C>> {
    effects.into_iter().filter_map(|effect| locked.resolve(effect, &mut cold)).collect()
}

#[cfg(test)]
mod tests;
