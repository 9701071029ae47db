//! The start check as deploying needs it: whether an instance of a version that is not served yet
//! starts.

use std::sync::Arc;
use std::time::Duration;

use types::{CatalogVersion, StatusReason};

/// Starts an instance of a version before the version takes over.
pub trait StartCheck: Send + Sync + 'static {
    /// Holds the instance until the version is served, which it is a part of then. Dropped before,
    /// it ends the instance.
    type Started: Send + Sync + 'static;

    /// Starts an instance and resolves when its server accepts connections; waits for room for at
    /// most `wait_max`. A caller that drops the future ends the start.
    ///
    /// # Errors
    /// Why no instance has started.
    fn check(
        &self,
        version: Arc<CatalogVersion>,
        wait_max: Duration,
    ) -> impl Future<Output = Result<Self::Started, StartError>> + Send;
}

/// Why no instance has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// The version does not start; the reason as the function's owner shall read it.
    Failed(StatusReason),
    /// There was no room for an instance, which says nothing of the version.
    NoRoom(String),
    /// The platform is stopping, which says nothing either.
    Stopping,
}
