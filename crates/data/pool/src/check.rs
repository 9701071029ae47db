//! The start check of a version that is not in the catalog yet: one instance of it is started, and serves the version's
//! first call once the catalog has it.
//!
//! It counts against the quotas as every other. Idle instances end for it; running ones do not, and requests that wait for
//! room come first.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use types::{CatalogVersion, RunStatus};

use crate::error::LeaseError;
use crate::handle::Pool;
use crate::launch::LaunchError;
use crate::policy::admission::limit::LimitExceeded;
use crate::policy::instance_table::Phase;
use crate::shared::Shared;
use crate::start::Start;
use crate::version::VersionPool;

/// First pause before room is looked for again; it doubles with each further one, as starts that find the machine full count
/// among the starts of a minute.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(4);

type Outcome = Result<(), LeaseError>;

/// What a version's pool knows of its check.
#[derive(Default)]
pub(crate) struct Check {
    unserved: AtomicBool,
    outcome: Mutex<Option<oneshot::Sender<Outcome>>>,
}

impl Check {
    /// Whether the catalog never had the version: it is not drained for that.
    pub fn is_unserved(&self) -> bool {
        self.unserved.load(Ordering::Relaxed)
    }

    fn set_unserved(&self, unserved: bool) {
        self.unserved.store(unserved, Ordering::Relaxed);
    }

    /// The start is over.
    pub fn ended(&self, outcome: Outcome) {
        if let Some(waiting) = self.outcome.lock().take() {
            // Nobody waits any more when the check was given up.
            let _ = waiting.send(outcome);
        }
    }

    fn begin(&self) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        *self.outcome.lock() = Some(sender);
        receiver
    }
}

/// A version of which an instance has started. Once dropped, the version is like all others: what the catalog does not have
/// by then ends.
pub struct Checked<C: Default + Send + Sync + 'static> {
    shared: Arc<Shared<C>>,
    pool: Arc<VersionPool<C>>,
}

impl<C: Default + Send + Sync + 'static> fmt::Debug for Checked<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked").field("version", &self.pool.version.key).finish_non_exhaustive()
    }
}

impl<C: Default + Send + Sync + 'static> Drop for Checked<C> {
    fn drop(&mut self) {
        let pool = &self.pool;
        if self.shared.in_force(&pool.version) {
            pool.check.set_unserved(false);
            self.shared.histories.lock().remove(&pool.name());
        } else {
            self.shared.drain_version(pool, VersionPool::superseded);
        }
    }
}

impl<C: Default + Send + Sync + 'static> Pool<C> {
    /// Starts an instance of a version that the catalog does not have yet; resolves when its server accepts connections. Waits
    /// for room for at most `wait_max`. Dropping the future gives the start up.
    ///
    /// # Errors
    /// [`LeaseError::OverQuota`] and [`LeaseError::Launch`] with [`RunStatus::InsufficientResources`] when there was no room,
    /// [`LeaseError::Launch`] when it does not start, [`LeaseError::Closed`] while the pool shuts down.
    pub async fn check(&self, version: &Arc<CatalogVersion>, wait_max: Duration) -> Result<Checked<C>, LeaseError> {
        let checked = Checked { shared: Arc::clone(&self.shared), pool: self.shared.unserved(version)? };
        let since = Instant::now();
        let (last, mut pause) = (since + wait_max, PAUSE_MIN);
        loop {
            let outcome = checked.start_one(since).await;
            let Err(error) = outcome else { return Ok(checked) };
            if Instant::now() >= last || !checked.may_get_room(&error) {
                return Err(checked.unless_closed(error));
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl<C: Default + Send + Sync + 'static> Checked<C> {
    async fn start_one(&self, since: Instant) -> Outcome {
        let (shared, pool) = (&self.shared, &self.pool);
        if let Some(stopped) = pool.stopped() {
            return Err(stopped);
        }
        let limit = {
            let mut table = pool.table.lock();
            if table.phase() != Phase::Open {
                return Err(pool.superseded());
            }
            let reserved = shared.admission.lock().reserve(&pool.want(since), Instant::now());
            if reserved.is_ok() {
                table.begin_ahead();
            }
            reserved.err()
        };
        if let Some(limit) = limit {
            shared.make_room(pool, since);
            return Err(LeaseError::OverQuota { function: pool.version.function.key.clone(), limit });
        }
        let outcome = pool.check.begin();
        Start::begin_check(shared, pool);
        let outcome = outcome.await.unwrap_or_else(|_| Err(pool.superseded()));
        if outcome.is_ok() {
            // It is kept as long as after a call.
            pool.table.lock().note_call(Instant::now());
        }
        outcome
    }

    fn may_get_room(&self, error: &LeaseError) -> bool {
        match error {
            LeaseError::OverQuota { limit: LimitExceeded::Reserved { max_mb: 0 }, .. } => false,
            LeaseError::OverQuota { .. } => self.shared.admission.lock().can_ever_fit(&self.pool.want(Instant::now())),
            LeaseError::Launch(LaunchError { status: RunStatus::InsufficientResources, .. }) => true,
            _ => false,
        }
    }

    /// A start that a shutdown cut short did not fail.
    fn unless_closed(&self, error: LeaseError) -> LeaseError {
        if self.shared.versions.read().closed { self.pool.closed() } else { error }
    }
}

impl<C: Default + Send + Sync + 'static> Shared<C> {
    /// The pool of a version that the catalog does not have yet.
    fn unserved(&self, version: &Arc<CatalogVersion>) -> Result<Arc<VersionPool<C>>, LeaseError> {
        let mut versions = self.versions.write();
        if versions.closed {
            return Err(LeaseError::Closed { function: version.function.key.clone() });
        }
        let fresh = || {
            let pool = VersionPool::new(Arc::clone(version), &self.config);
            pool.check.set_unserved(true);
            // The version before may go on to be called, so that its history stays until this one takes over.
            if let Some(history) = self.histories.lock().get(&pool.name()) {
                pool.table.lock().remember(history.clone());
            }
            Arc::new(pool)
        };
        let pool = Arc::clone(versions.map.entry(version.key.clone()).or_insert_with(fresh));
        drop(versions);
        pool.set_stopped(self.admission.lock().is_stopped(&version.key.function_id));
        Ok(pool)
    }
}
