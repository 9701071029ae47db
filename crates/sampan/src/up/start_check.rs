//! Implements [`deploy::StartCheck`] with the invoker's pool.

use std::sync::Arc;
use std::time::Duration;

use deploy::StartError;
use invoke::{CheckedStart, Invoker};
use pool::{LaunchError, LeaseError};
use types::{CatalogVersion, RunStatus, StatusReason};

/// Starts an instance by the same path as a call.
pub struct StartCheck(pub Invoker);

impl deploy::StartCheck for StartCheck {
    type Started = CheckedStart;

    async fn check(&self, version: Arc<CatalogVersion>, wait_max: Duration) -> Result<CheckedStart, StartError> {
        self.0.check_start(&version, wait_max).await.map_err(meaning)
    }
}

/// Maps a lease error to an error of the version, or of the machine or platform.
fn meaning(error: LeaseError) -> StartError {
    match error {
        LeaseError::Closed { .. } => StartError::Stopping,
        LeaseError::Launch(
            error @ LaunchError { status: RunStatus::InsufficientResources | RunStatus::InitContainerTimeout, .. },
        ) => StartError::NoRoom(error.to_string()),
        LeaseError::Launch(error) | LeaseError::BackedOff(error) => StartError::Failed(StatusReason {
            error_code: error.status.name().to_owned(),
            error_message: error.to_string(),
        }),
        // A cancelled check is not an error of the version either.
        error @ (LeaseError::OverQuota { .. }
        | LeaseError::NoneFree { .. }
        | LeaseError::QueueFull { .. }
        | LeaseError::Superseded { .. }) => StartError::NoRoom(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use pool::ColdStart;
    use types::{FunctionKey, VersionName};

    use super::*;

    #[test]
    fn a_cancelled_check_does_not_fail_the_image() {
        let function = FunctionKey { namespace: "default".parse().unwrap(), name: "hello".parse().unwrap() };
        let error = LeaseError::Superseded { function, version: VersionName::Latest };
        assert!(matches!(meaning(error), StartError::NoRoom(why) if why.contains("hello")));
    }

    #[test]
    fn a_full_machine_does_not_fail_the_image() {
        let launch = |status| {
            let (message, detail) = ("w".to_owned(), "hy".to_owned());
            meaning(LeaseError::Launch(LaunchError {
                status,
                message,
                detail,
                cold_start: ColdStart::default(),
                peak_bytes: 0,
            }))
        };
        for status in [RunStatus::InsufficientResources, RunStatus::InitContainerTimeout] {
            assert_eq!(launch(status), StartError::NoRoom("why".to_owned()));
        }
        for (status, code) in [
            (RunStatus::ContainerStateExited, "ContainerStateExited"),
            (RunStatus::PortBindingFailed, "PortBindingFailed"),
            (RunStatus::ContainerInitError, "ContainerInitError"),
            (RunStatus::MemoryLimitReached, "MemoryLimitReached"),
        ] {
            let reason = StatusReason { error_code: code.to_owned(), error_message: "why".to_owned() };
            assert_eq!(launch(status), StartError::Failed(reason));
        }
    }
}
