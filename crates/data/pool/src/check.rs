//! The start check of a version that is not in the catalog yet: one instance of it is started, and
//! serves the version's first call once the catalog has the version.
//!
//! It counts against the quotas like any other start. Idle instances are evicted for it, running
//! ones are not, and requests that wait for room have precedence.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use types::{CatalogVersion, RunStatus};

use crate::driver::Driver;
use crate::error::LeaseError;
use crate::handle::Pool;
use crate::launch::LaunchError;
use crate::policy::admission::limit::LimitExceeded;
use crate::policy::instance_table::Phase;
use crate::version::Version;

/// First pause before room is looked for again. It doubles each time, because starts that find the
/// machine full count towards the starts per minute.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(4);

type Outcome = Result<(), LeaseError>;

/// A version of which an instance has started. Dropping it makes the version an ordinary one: if
/// the catalog does not have it by then, it is drained.
pub struct Checked<C: Default + Send + Sync + 'static> {
    driver: Arc<Driver<C>>,
    version: Arc<Version<C>>,
}

impl<C: Default + Send + Sync + 'static> fmt::Debug for Checked<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checked").field("version", &self.version.catalog.key).finish_non_exhaustive()
    }
}

impl<C: Default + Send + Sync + 'static> Drop for Checked<C> {
    fn drop(&mut self) {
        if self.driver.in_force(&self.version.catalog) {
            self.driver.serve_checked(&self.version);
        } else {
            self.driver.drain_version(&self.version, &self.version.superseded());
        }
    }
}

impl<C: Default + Send + Sync + 'static> Pool<C> {
    /// Starts an instance of a version that the catalog does not have yet; resolves when its server
    /// accepts connections. Waits for room for at most `wait_max`. Dropping the future cancels the
    /// start.
    ///
    /// # Errors
    /// [`LeaseError::OverQuota`] and [`LeaseError::Launch`] with
    /// [`RunStatus::InsufficientResources`] when there was no room, [`LeaseError::Launch`] when it
    /// does not start, [`LeaseError::Closed`] while the pool shuts down.
    pub async fn check(&self, version: &Arc<CatalogVersion>, wait_max: Duration) -> Result<Checked<C>, LeaseError> {
        let checked = Checked { driver: Arc::clone(&self.driver), version: self.driver.unserved_version(version)? };
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
        let (driver, version) = (&self.driver, &self.version);
        let (sender, outcome) = oneshot::channel();
        let begun = driver.apply(version, |locked, now, effects| {
            if locked.state.is_stopped() {
                return Err(version.stopped());
            }
            if locked.state.table.phase() != Phase::Open {
                return Err(version.superseded());
            }
            // Before the start, which may be over before this returns.
            locked.check = Some(sender);
            let begun = locked.state.start_check(&mut driver.admission.lock(), since, now, effects);
            begun.map_err(|limit| LeaseError::OverQuota { function: version.catalog.function.key.clone(), limit })
        });
        if let Err(error) = begun {
            if is_limit(&error) {
                driver.make_room(version, since);
            }
            return Err(error);
        }
        let outcome = outcome.await.unwrap_or_else(|_| Err(version.superseded()));
        if outcome.is_ok() {
            // The instance is kept as long as after a call.
            driver.apply(version, |locked, now, _| locked.state.table.note_call(now));
        }
        outcome
    }

    fn may_get_room(&self, error: &LeaseError) -> bool {
        match error {
            error @ LeaseError::OverQuota { .. } => {
                let CatalogVersion { key, spec, .. } = &*self.version.catalog;
                is_limit(error) && self.driver.admission.lock().can_ever_fit(&key.function_id, spec.memory_mb)
            }
            LeaseError::Launch(LaunchError { status: RunStatus::InsufficientResources, .. }) => true,
            _ => false,
        }
    }

    /// Maps the error of a start that a shutdown cancelled to `Closed`.
    fn unless_closed(&self, error: LeaseError) -> LeaseError {
        if self.driver.versions.read().closed { self.version.closed() } else { error }
    }
}

/// Whether a limit refused the start; a quota of 0, which stops the function, does not count.
fn is_limit(error: &LeaseError) -> bool {
    !matches!(error, LeaseError::OverQuota { limit: LimitExceeded::Reserved { max_mb: 0 }, .. })
        && matches!(error, LeaseError::OverQuota { .. })
}
