//! The public face of the pool: lease an instance, see what is used, shut down.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{CatalogVersion, FunctionKey, RequestId, SharedCatalog};

use crate::config::Config;
use crate::error::LeaseError;
use crate::instance::{Instance, Lease};
use crate::launch::Launch;
use crate::maintenance;
use crate::policy::admission::Admission;
use crate::policy::admission::quota::Quota;
use crate::policy::instance_table::{GiveUp, Phase};
use crate::policy::queue::WaiterId;
use crate::session_key::SessionKey;
use crate::shared::{Refused, Shared, Versions};
use crate::usage::{ProvisionedState, Usage};
use crate::version::{Answer, VersionPool, Waiting};

/// Every instance of an installation, by version; cheap to clone. `C` is what the user of the pool keeps with each
/// instance.
pub struct Pool<C: Default + Send + Sync + 'static> {
    pub(crate) shared: Arc<Shared<C>>,
}

impl<C: Default + Send + Sync + 'static> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// What asking a version for a lease led to.
pub(crate) enum Asked<C: Default + Send + Sync + 'static> {
    Leased(Lease<C>),
    Waits(WaiterId, oneshot::Receiver<Answer<C>>),
    /// The version left the pool between the look-up and the question.
    Gone,
}

/// A request's place in the queue, left when dropped.
struct Place<'a, C: Default + Send + Sync + 'static> {
    shared: &'a Arc<Shared<C>>,
    pool: &'a VersionPool<C>,
    id: WaiterId,
}

impl<C: Default + Send + Sync + 'static> Drop for Place<'_, C> {
    fn drop(&mut self) {
        let others_want = {
            let mut table = self.pool.table.lock();
            table.cancel(self.id);
            table.starts_wanted(Instant::now()) > 0
        };
        self.shared.admission.lock().end_wait(&self.pool.version.key.function_id);
        // What was kept for it is there for others.
        if !others_want && self.shared.unclaim(&self.pool.version.key) {
            self.shared.feed();
        }
    }
}

impl<C: Default + Send + Sync + 'static> Pool<C> {
    /// A pool of the catalog's versions. `changes` ticks after each change of the catalog. `shutdown` ends the upkeep;
    /// [`Pool::drain`] ends the upkeep and the instances. Must be called within a Tokio runtime.
    pub fn new(
        launch: Arc<dyn Launch>,
        catalog: SharedCatalog,
        changes: watch::Receiver<u64>,
        config: Config,
        shutdown: &CancellationToken,
    ) -> Self {
        let mut admission = Admission::new(&config);
        admission.set_quota(Quota::of(&catalog.load(), &config));
        let shared = Arc::new(Shared {
            launch,
            catalog,
            versions: RwLock::new(Versions { map: std::collections::HashMap::new(), closed: false }),
            admission: Mutex::new(admission),
            claims: AtomicUsize::new(0),
            histories: Mutex::default(),
            starting: Semaphore::new(usize::try_from(config.starts_parallel_max.max(1)).unwrap_or(usize::MAX)),
            tasks: TaskTracker::new(),
            stop: shutdown.child_token(),
            config,
        });
        shared.tasks.spawn(supervisor::essential("pool", maintenance::run(Arc::clone(&shared), changes)));
        Self { shared }
    }

    /// Leases an instance of `version` to one request: a free one, one that comes free, or a new one; where the version has
    /// sessions, the one that serves the request's session. Dropping the future
    /// gives up the wait and nothing else.
    pub async fn lease(
        &self,
        version: &Arc<CatalogVersion>,
        request: &RequestId,
        session: Option<&SessionKey>,
    ) -> Result<Lease<C>, LeaseError> {
        loop {
            let pool = self.shared.version(version)?;
            if let Some(stopped) = pool.stopped() {
                return Err(stopped);
            }
            if let Some(sessions) = &pool.sessions {
                match self.ride(&pool, sessions, request, session).await? {
                    Some(lease) => return Ok(lease),
                    None => continue,
                }
            }
            match self.ask(&pool, request)? {
                Asked::Leased(lease) => return Ok(lease),
                Asked::Waits(id, answer) => return self.wait(&pool, id, answer).await,
                Asked::Gone => {}
            }
        }
    }

    pub(crate) fn ask(&self, pool: &Arc<VersionPool<C>>, request: &RequestId) -> Result<Asked<C>, LeaseError> {
        let mut table = pool.table.lock();
        match table.phase() {
            Phase::Open => {}
            Phase::Closed => return Ok(Asked::Gone),
            Phase::Draining => {
                drop(table);
                let closed = self.shared.versions.read().closed;
                return Err(if closed { pool.closed() } else { pool.superseded() });
            }
        }
        let now = Instant::now();
        if let Some((index, instance)) = table.acquire(now) {
            let lacks = table.lacks_next(now);
            drop(table);
            if lacks {
                self.shared.start_next(pool, now);
            }
            // Here and not in a thread of its own: it takes less time than to wake one.
            instance.thaw();
            return Ok(Asked::Leased(self.leased(pool, instance, index)));
        }
        let key = &pool.version.function.key;
        self.shared
            .admission
            .lock()
            .begin_wait(&pool.version.key.function_id, key)
            .map_err(|waiting_max| LeaseError::QueueFull { function: key.clone(), waiting_max })?;
        let (sender, answer) = oneshot::channel();
        let id = table.wait(Waiting { request: request.clone(), answer: sender }, now);
        Ok(Asked::Waits(id, answer))
    }

    fn leased(&self, pool: &Arc<VersionPool<C>>, instance: Arc<Instance<C>>, index: usize) -> Lease<C> {
        Lease::new(Arc::clone(&self.shared), Arc::clone(pool), instance, index, None)
    }

    pub(crate) async fn wait(
        &self,
        pool: &Arc<VersionPool<C>>,
        id: WaiterId,
        mut answer: oneshot::Receiver<Answer<C>>,
    ) -> Answer<C> {
        let place = Place { shared: &self.shared, pool, id };
        let function = &pool.version.function.key;
        let mut refused = self.shared.start_wanted(pool);
        if refused.is_none() {
            // When a lease was likely to come free sooner than a start would be ready, but none did, a start is due.
            let patience = pool.table.lock().patience();
            match timeout(patience, &mut answer).await {
                Ok(answered) => return answered.unwrap_or_else(|_| Err(pool.closed())),
                Err(_) => refused = self.shared.start_wanted(pool),
            }
        }
        if let Some(refused) = refused.as_ref().filter(|refused| !refused.room_expected)
            && pool.table.lock().give_up(place.id) == GiveUp::Removed
        {
            return Err(refused.error(function));
        }
        let refused = refused.filter(Refused::outlasts_waiting);
        let config = &self.shared.config;
        loop {
            match timeout(config.wait_max(), &mut answer).await {
                Ok(answered) => return answered.unwrap_or_else(|_| Err(pool.closed())),
                Err(_) if pool.table.lock().give_up(place.id) == GiveUp::Removed => {
                    let none_free =
                        || LeaseError::NoneFree { function: function.clone(), wait_ms_max: config.wait_ms_max };
                    return Err(refused.map_or_else(none_free, |refused| refused.error(function)));
                }
                Err(_) => {}
            }
        }
    }

    /// What is used now.
    pub fn usage(&self) -> Usage {
        let usage = self.shared.admission.lock().usage();
        Usage { provisioned: self.shared.all_provisioned(), ..usage }
    }

    /// How far the instances of a function that are kept ready have come, by version.
    pub fn provisioned(&self, function: &FunctionKey) -> Vec<ProvisionedState> {
        self.shared.provisioned(function)
    }

    /// How long the instances that are there may take to end when they are asked to.
    pub fn stop_grace(&self) -> Duration {
        let pools: Vec<_> = self.shared.versions.read().map.values().cloned().collect();
        let longest = |pool: &Arc<VersionPool<C>>| {
            pool.table.lock().instances().map(|instance| instance.process.stop_grace()).max()
        };
        pools.iter().filter_map(longest).max().unwrap_or_default()
    }

    /// Shuts down: refuses new requests and those that wait, ends idle instances, ends the others as their leases return or
    /// after `grace`, and kills what is left `stop_grace` later. Returns when all instances have ended, or a named limit later.
    pub async fn drain(&self, grace: Duration, stop_grace: Duration) {
        let shared = &self.shared;
        shared.stop.cancel();
        let pools: Vec<_> = {
            let mut versions = shared.versions.write();
            versions.closed = true;
            versions.map.values().cloned().collect()
        };
        for pool in &pools {
            shared.drain_version(pool, VersionPool::closed);
        }
        shared.tasks.close();
        if timeout(grace, shared.tasks.wait()).await.is_ok() {
            return;
        }
        let left = || pools.iter().flat_map(|pool| pool.table.lock().instances().cloned().collect::<Vec<_>>());
        left().for_each(|instance| shared.end(&instance));
        if timeout(stop_grace, shared.tasks.wait()).await.is_ok() {
            return;
        }
        left().for_each(|instance| shared.kill(&instance));
        let kill_wait_max = Duration::from_millis(shared.config.kill_wait_ms_max);
        if timeout(kill_wait_max, shared.tasks.wait()).await.is_err() {
            tracing::error!(instances = self.usage().instances, "instances did not end after they were killed");
        }
    }
}
