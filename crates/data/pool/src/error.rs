//! Why a request gets no instance, with the corresponding status of the contract.

use types::{FunctionKey, RunStatus, VersionName};

use crate::launch::LaunchError;
use crate::policy::admission::limit::LimitExceeded;

/// Why a request got no lease.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LeaseError {
    /// The version was changed or removed since the caller looked it up; look it up again.
    #[error("version {version} of function {function} was replaced or removed meanwhile")]
    Superseded {
        /// The function.
        function: FunctionKey,
        /// The version.
        version: VersionName,
    },
    /// The instance that the request waited for could not be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// No instance is started during the back-off of the version; the error of its last start.
    #[error(transparent)]
    BackedOff(LaunchError),
    /// No further instance may be started, and none is expected to come free.
    #[error("Function [ {function} ] concurrency exceeded {limit}")]
    OverQuota {
        /// The function.
        function: FunctionKey,
        /// The limit that was exceeded.
        limit: LimitExceeded,
    },
    /// No further instance may be started, and none came free in time.
    #[error(
        "Function [ {function} ] concurrency exceeded what its instances serve: none came free within {wait_ms_max} ms; lower the load or raise the instance and memory limits of [pool]"
    )]
    NoneFree {
        /// The function.
        function: FunctionKey,
        /// How long the request waited.
        wait_ms_max: u64,
    },
    /// The maximum of waiting requests is reached.
    #[error(
        "{waiting_max} requests of function {function} wait for an instance already; send fewer at once or raise [pool] waiting_per_function_max"
    )]
    QueueFull {
        /// The function.
        function: FunctionKey,
        /// The limit.
        waiting_max: u32,
    },
    /// The pool is shutting down.
    #[error("function {function} cannot be run because the platform is shutting down; try again later")]
    Closed {
        /// The function.
        function: FunctionKey,
    },
}

impl LeaseError {
    /// The status of the invocation.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Superseded { .. } => RunStatus::FunctionStatusError,
            Self::Launch(error) | Self::BackedOff(error) => error.status,
            Self::OverQuota { limit, .. } => limit.status(),
            Self::NoneFree { .. } => RunStatus::ResourceLimitReached,
            Self::QueueFull { .. } => RunStatus::ResourceLimit,
            Self::Closed { .. } => RunStatus::InternalError,
        }
    }
}
