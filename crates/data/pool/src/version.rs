//! What the pool keeps of one version at one generation: its ledger and the token that ends its starts.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use types::{CatalogVersion, RequestId};

use crate::error::LeaseError;
use crate::instance::{Instance, Lease};
use crate::ledger::Ledger;

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

/// The ledger of a version's instances.
pub(crate) type VersionLedger<C> = Ledger<Arc<Instance<C>>, Waiting<C>>;

/// A version in the pool.
pub(crate) struct VersionPool<C: Default + Send + Sync + 'static> {
    pub version: Arc<CatalogVersion>,
    pub ledger: Mutex<VersionLedger<C>>,
    /// Cancelled when the version takes no more requests: starts in progress are given up.
    pub drained: CancellationToken,
}

impl<C: Default + Send + Sync + 'static> VersionPool<C> {
    pub fn new(version: Arc<CatalogVersion>) -> Self {
        let concurrency = version.spec.max_concurrency(version.function.kind);
        Self { version, ledger: Mutex::new(Ledger::new(concurrency)), drained: CancellationToken::new() }
    }

    /// Whether idle instances may be frozen.
    pub fn may_rest(&self) -> bool {
        !self.version.function.tags.iter().any(|(key, value)| (key.as_str(), value.as_str()) == FREEZE_OFF)
    }

    pub fn superseded(&self) -> LeaseError {
        LeaseError::Superseded { function: self.version.function.key.clone(), version: self.version.key.version }
    }

    pub fn closed(&self) -> LeaseError {
        LeaseError::Closed { function: self.version.function.key.clone() }
    }
}
