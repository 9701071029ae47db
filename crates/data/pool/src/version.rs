//! What the pool keeps of one version at one generation: its table and the token that ends its starts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::{CatalogVersion, FunctionId, RequestId, VersionName};

use crate::check::Check;
use crate::config::Config;
use crate::error::LeaseError;
use crate::instance::{Instance, Lease};
use crate::policy::admission::StartRequest;
use crate::policy::admission::limit::LimitExceeded;
use crate::policy::backoff::Backoff;
use crate::policy::instance_table::InstanceTable;
use crate::policy::provisioning::Provisioned;
use crate::sessions::{SessionLimits, Sessions};

/// The tag of functions whose idle instances are not frozen. Tags belong to a function and are set when it is made; the
/// API has no field of its own for this.
const FREEZE_OFF: (&str, &str) = ("sampan:freeze", "off");

/// What a waiting request gets.
pub(crate) type Answer<C> = Result<Lease<C>, LeaseError>;

/// A request that waits for an instance.
pub(crate) struct Waiting<C: Default + Send + Sync + 'static> {
    pub request: RequestId,
    pub answer: oneshot::Sender<Answer<C>>,
}

/// The table of a version's instances.
pub(crate) type VersionTable<C> = InstanceTable<Arc<Instance<C>>, Waiting<C>>;

/// A version in the pool.
pub(crate) struct VersionPool<C: Default + Send + Sync + 'static> {
    pub version: Arc<CatalogVersion>,
    pub table: Mutex<VersionTable<C>>,
    /// How many leases an instance may have at once.
    leases: u32,
    /// Who keeps coming back to the same instance, where the version's owner wants that.
    pub sessions: Option<Sessions<C>>,
    /// Cancelled when the version takes no more requests: starts in progress are given up.
    pub drained: CancellationToken,
    /// Instances of it that are kept ready.
    pub provisioned: Mutex<Provisioned>,
    /// The start check of a version that the catalog does not have yet.
    pub check: Check,
    /// Its starts that failed.
    pub backoff: Mutex<Backoff>,
    /// Permits of its starts that run at the same time.
    pub starting: Semaphore,
    /// The function's quota is 0.
    stopped: AtomicBool,
}

impl<C: Default + Send + Sync + 'static> VersionPool<C> {
    pub fn new(version: Arc<CatalogVersion>, config: &Config) -> Self {
        let kind = version.function.kind;
        let sessions = version.spec.session(kind).map(|spec| Sessions::new(SessionLimits::of(spec)));
        // A session holds one lease for all its requests.
        let leases = match version.spec.session(kind) {
            Some(spec) => spec.per_instance_max,
            None => version.spec.max_concurrency(kind),
        };
        Self {
            version,
            table: Mutex::new(InstanceTable::new(leases, config.keep_alive_policy())),
            leases,
            sessions,
            drained: CancellationToken::new(),
            provisioned: Mutex::new(Provisioned::new(config.start_pauses())),
            check: Check::default(),
            backoff: Mutex::new(Backoff::new(config.start_pauses())),
            starting: Semaphore::new(config.starts_parallel_share()),
            stopped: AtomicBool::new(false),
        }
    }

    /// What it is called across its generations.
    pub fn name(&self) -> (FunctionId, VersionName) {
        (self.version.key.function_id.clone(), self.version.key.version)
    }

    /// Whether idle instances may be frozen.
    pub fn may_rest(&self) -> bool {
        !self.version.function.tags.iter().any(|(key, value)| (key.as_str(), value.as_str()) == FREEZE_OFF)
    }

    /// What a request that waits since then needs.
    pub fn want(&self, since: Instant) -> StartRequest<'_> {
        let CatalogVersion { key, function, spec, .. } = &*self.version;
        StartRequest { version: key, function: &function.key, memory_mb: spec.memory_mb, since }
    }

    /// Finds how many instances are to be kept at this time.
    pub fn update_provisioned(&self, now: Instant) {
        let looks_at_use = self.provisioned.lock().looks_at_use(now);
        let in_use = if looks_at_use { self.table.lock().take_in_use_peak() } else { 0 };
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let unix_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
        self.provisioned.lock().update(now, unix_ms, in_use, self.leases);
    }

    /// Whether its owner wants instances kept, if only at other times.
    pub fn is_asked_for(&self) -> bool {
        self.provisioned.lock().is_asked_for()
    }

    /// Instances that are to be kept.
    pub fn wanted(&self) -> u32 {
        self.provisioned.lock().wanted()
    }

    pub fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::Relaxed);
    }

    /// Nothing when the function's quota lets it run at all.
    pub fn stopped(&self) -> Option<LeaseError> {
        let error = || LeaseError::OverQuota {
            function: self.version.function.key.clone(),
            limit: LimitExceeded::Reserved { max_mb: 0 },
        };
        self.is_stopped().then(error)
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub fn superseded(&self) -> LeaseError {
        LeaseError::Superseded { function: self.version.function.key.clone(), version: self.version.key.version }
    }

    pub fn closed(&self) -> LeaseError {
        LeaseError::Closed { function: self.version.function.key.clone() }
    }
}
