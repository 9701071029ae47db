//! The end of one event's run from outside: at once, or by its instance's stop signal.

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Ends the run of an event; cheap to clone, all clones are of one run.
///
/// An instance that serves the run alone is ended with it. One that serves others too only loses
/// the run's connection, as it does when a time limit is reached.
#[derive(Debug, Clone)]
pub struct Cancellation {
    at_once: CancellationToken,
    /// Cancelled with `at_once`, or alone.
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
    /// Kills the instance, also one that was asked to end before.
    pub fn kill(&self) {
        self.at_once.cancel();
    }

    /// Asks the instance to end by its stop signal; it is killed after its grace.
    pub fn stop(&self) {
        self.requested.cancel();
    }

    /// Resolves when either was called.
    pub async fn requested(&self) {
        self.requested.cancelled().await;
    }

    /// The same, for a body that is polled.
    pub(crate) fn requested_owned(&self) -> WaitForCancellationFutureOwned {
        self.requested.clone().cancelled_owned()
    }

    /// Resolves when the run has ended, however it did: its output has been read, and its record is
    /// complete.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// The record of the run is complete.
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
