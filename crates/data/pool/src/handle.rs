//! The public handle of the pool: leases instances, reports usage, shuts down.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use types::{CatalogVersion, FunctionKey, RequestId, SharedCatalog};

use crate::acquire::{Asked, ask};
use crate::config::Config;
use crate::driver::Driver;
use crate::error::LeaseError;
use crate::instance::Instance;
use crate::launch::Launch;
use crate::lease::Lease;
use crate::session_key::SessionKey;
use crate::session_slot;
use crate::usage::{ProvisionedState, Usage};

/// All instances of an installation, by version; cheap to clone. `C` is the state that the user of
/// the pool stores with each instance.
pub struct Pool<C: Default + Send + Sync + 'static> {
    pub(crate) driver: Arc<Driver<C>>,
}

impl<C: Default + Send + Sync + 'static> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self { driver: Arc::clone(&self.driver) }
    }
}

impl<C: Default + Send + Sync + 'static> Pool<C> {
    /// Creates a pool of the catalog's versions. `changes` ticks after each change of the catalog.
    /// `shutdown` ends maintenance; [`Pool::drain`] ends maintenance and the instances. Must be
    /// called within a Tokio runtime.
    pub fn new(
        launch: Arc<dyn Launch>,
        catalog: SharedCatalog,
        changes: watch::Receiver<u64>,
        config: Config,
        shutdown: &CancellationToken,
    ) -> Self {
        let driver = Arc::new(Driver::new(launch, catalog, config, shutdown));
        driver.maintain(changes);
        Self { driver }
    }

    /// Leases an instance of `version` to one request: a free one, one that comes free, or a new
    /// one; where the version has sessions, the one that serves the request's session. Dropping the
    /// future cancels only this wait.
    pub async fn lease(
        &self,
        version: &Arc<CatalogVersion>,
        request: &RequestId,
        session: Option<&SessionKey>,
    ) -> Result<Lease<C>, LeaseError> {
        let driver = &self.driver;
        loop {
            let version = driver.version(version)?;
            let (grant, session) = if version.has_sessions {
                match session_slot::acquire(driver, &version, request, session).await? {
                    Some((grant, session)) => (grant, Some(session)),
                    None => continue,
                }
            } else {
                match ask(driver, &version, request, None)? {
                    Asked::Granted(grant) => (grant, None),
                    Asked::Queued(queued) => (queued.wait().await?, None),
                    Asked::Gone => continue,
                }
            };
            return Ok(Lease::new(Arc::clone(driver), version, grant, session));
        }
    }

    /// Leases a new instance of a job image, started for this request with this event in it. It
    /// ends at the latest when the lease is dropped. Dropping the future cancels the start.
    pub async fn lease_job(
        &self,
        version: &Arc<CatalogVersion>,
        request: &RequestId,
        event: &Bytes,
    ) -> Result<Lease<C>, LeaseError> {
        let driver = &self.driver;
        loop {
            let version = driver.version(version)?;
            let grant = match ask(driver, &version, request, Some(event))? {
                Asked::Granted(grant) => grant,
                Asked::Queued(queued) => queued.wait().await?,
                Asked::Gone => continue,
            };
            return Ok(Lease::new(Arc::clone(driver), version, grant, None));
        }
    }

    /// Replaces the instances of the versions for which `affected` is true, without a new version:
    /// existing ones end as their leases return, and others start on demand. Returns how many
    /// versions had any.
    pub fn restart(&self, affected: impl Fn(&CatalogVersion) -> bool) -> usize {
        let versions = self.driver.all_versions().into_iter().filter(|version| affected(&version.catalog));
        versions.map(|version| self.driver.restart(&version)).count()
    }

    /// Current usage.
    pub fn usage(&self) -> Usage {
        let usage = self.driver.admission.lock().usage();
        Usage { provisioned: self.driver.all_provisioned(), ..usage }
    }

    /// Progress of a function's provisioned instances, by version.
    pub fn provisioned(&self, function: &FunctionKey) -> Vec<ProvisionedState> {
        self.driver.provisioned(function)
    }

    /// The longest stop grace of the current instances.
    pub fn stop_grace(&self) -> Duration {
        let instances = self.driver.all_versions().into_iter().flat_map(|version| version.live_instances());
        instances.map(|instance| instance.process.stop_grace()).max().unwrap_or_default()
    }

    /// Shuts down: refuses new and waiting requests, ends idle instances, ends the others as their
    /// leases return or after `grace`, and kills the rest `stop_grace` later. Returns when all
    /// instances have ended, or after a configured limit.
    pub async fn drain(&self, grace: Duration, stop_grace: Duration) {
        let driver = &self.driver;
        driver.stop.cancel();
        driver.versions.write().closed = true;
        let versions = driver.all_versions();
        for version in &versions {
            driver.drain_version(version, &version.closed());
        }
        driver.tasks.close();
        if timeout(grace, driver.tasks.wait()).await.is_ok() {
            return;
        }
        let left = || versions.iter().flat_map(|version| version.live_instances());
        left().for_each(|instance: Arc<Instance<C>>| driver.stop_within(&instance, Duration::MAX));
        if timeout(stop_grace, driver.tasks.wait()).await.is_ok() {
            return;
        }
        left().for_each(|instance| driver.kill(&instance));
        let kill_wait_max = Duration::from_millis(driver.config.kill_wait_ms_max);
        if timeout(kill_wait_max, driver.tasks.wait()).await.is_err() {
            tracing::error!(instances = self.usage().instances, "instances did not end after they were killed");
        }
    }
}
