//! A running instance in the pool: its process and its freezer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use types::{CatalogVersion, InstanceId};

use crate::freezer::Freezer;
use crate::launch::Process;
use crate::lock::{Rank, RankedMutex};

/// A running instance; `C` is the state that the pool's user stores with it, dropped with it.
pub struct Instance<C> {
    /// Its id.
    pub id: InstanceId,
    /// The running process.
    pub process: Arc<dyn Process>,
    /// The version that it runs.
    pub version: Arc<CatalogVersion>,
    /// The user's state.
    pub slot: C,
    /// Request permits of sessions, which share one lease.
    pub(crate) requests: Semaphore,
    /// Freeze and stop state.
    freezer: Freezer,
    /// Its grace is capped, because a request waits for its room.
    grace_capped: AtomicBool,
}

impl<C> Instance<C> {
    pub(crate) fn new(id: InstanceId, process: Arc<dyn Process>, version: Arc<CatalogVersion>, slot: C) -> Self {
        let places = version.spec.max_concurrency(version.function.kind);
        let requests = Semaphore::new(usize::try_from(places).unwrap_or(Semaphore::MAX_PERMITS));
        let freezer = Freezer::new(RankedMutex::new(Rank::Frozen, false));
        Self { id, process, version, slot, requests, freezer, grace_capped: AtomicBool::new(false) }
    }

    /// Whether it serves no session's request.
    pub(crate) fn is_silent(&self) -> bool {
        u32::try_from(self.requests.available_permits())
            .is_ok_and(|free| free >= self.version.spec.max_concurrency(self.version.function.kind))
    }

    /// Freezes it if it is still idle.
    pub(crate) fn freeze(&self, still_idle: impl FnOnce() -> bool) {
        if let Err(error) = self.freezer.freeze(still_idle, || self.process.freeze()) {
            // It stays thawed, which costs no more than before.
            tracing::debug!(instance = %self.id, %error, "failed to freeze an idle instance");
        }
    }

    /// Number of freezes so far: connections opened before the last freeze may be gone for its
    /// processes. Meaningful with a lease, during which no freeze happens.
    pub fn suspensions(&self) -> u64 {
        self.freezer.suspensions()
    }

    /// Thaws it, before a request is sent to it.
    pub(crate) fn thaw(&self) {
        if let Err(error) = self.freezer.thaw(|| self.process.thaw()) {
            // It has ended, as the request will find; otherwise the request times out and the
            // instance is killed.
            tracing::debug!(instance = %self.id, %error, "failed to thaw a frozen instance");
        }
    }

    /// Stops it within its own grace, or `longest` where that is less. Marks it as ending: no
    /// freeze follows.
    pub(crate) fn stop(&self, longest: Duration) {
        self.freezer.settle();
        self.process.stop(longest);
    }

    /// Whether it is ending with a grace above `longest`; true for the first caller.
    pub(crate) fn cap_grace(&self, longest: Duration) -> bool {
        self.freezer.ends() && self.process.stop_grace() > longest && !self.grace_capped.swap(true, Ordering::Relaxed)
    }

    /// Marks it as ending; true for the first caller. Called under the lock of admission, which
    /// counts it.
    pub(crate) fn tell_to_end(&self) -> bool {
        self.freezer.end()
    }
}
