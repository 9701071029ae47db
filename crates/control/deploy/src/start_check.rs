//! Interface of the start check: starts an instance of a version before the version serves.

use std::sync::Arc;
use std::time::Duration;

use types::{CatalogVersion, StatusReason};

/// Starts an instance of a version before the version serves.
pub trait StartCheck: Send + Sync + 'static {
    /// Owns the instance until the version serves and takes it over. Dropping it earlier stops the
    /// instance.
    type Started: Send + Sync + 'static;

    /// Starts an instance and resolves when its server accepts connections; waits at most
    /// `wait_max` for admission. Dropping the future cancels the start.
    ///
    /// # Errors
    /// The reason why no instance started.
    fn check(
        &self,
        version: Arc<CatalogVersion>,
        wait_max: Duration,
    ) -> impl Future<Output = Result<Self::Started, StartError>> + Send;
}

/// Why no instance started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// The instance failed to start; the reason is worded for the function's owner.
    Failed(StatusReason),
    /// Admission failed for lack of capacity; independent of the version.
    NoRoom(String),
    /// The platform is shutting down; independent of the version.
    Stopping,
}
