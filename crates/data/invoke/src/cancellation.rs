//! Cancellation of one event's run: at once, or by its instance's stop signal.

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Cancels the run of an event; cheap to clone, all clones refer to one run.
///
/// An instance that serves only this run ends with it. One that serves others only loses the run's
/// connection, as at a time-out.
#[derive(Debug, Clone)]
pub struct Cancellation {
    at_once: CancellationToken,
    /// Cancelled alone for a stop, or together with `at_once`.
    requested: CancellationToken,
    /// The record of the run is complete.
    ended: CancellationToken,
}

impl Default for Cancellation {
    fn default() -> Self {
        let at_once = CancellationToken::new();
        Self { requested: at_once.child_token(), ended: CancellationToken::new(), at_once }
    }
}

impl Cancellation {
    /// Kills the instance, even if a stop is in progress.
    pub fn kill(&self) {
        self.at_once.cancel();
    }

    /// Sends the instance its stop signal; it is killed after its grace.
    pub fn stop(&self) {
        self.requested.cancel();
    }

    /// Resolves when either was requested.
    pub async fn requested(&self) {
        self.requested.cancelled().await;
    }

    /// The same, for a body that is polled.
    pub(crate) fn requested_owned(&self) -> WaitForCancellationFutureOwned {
        self.requested.clone().cancelled_owned()
    }

    /// Resolves when the run has ended, whatever its outcome: its output has been read, and its
    /// record is complete.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Marks the record of the run as complete.
    pub(crate) fn set_ended(&self) {
        self.ended.cancel();
    }

    /// Resolves when the instance is to be killed.
    pub(crate) async fn at_once(&self) {
        self.at_once.cancelled().await;
    }

    /// Whether the instance is to be killed.
    pub(crate) fn is_at_once(&self) -> bool {
        self.at_once.is_cancelled()
    }
}
