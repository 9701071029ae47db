//! A running instance in the pool: its process, and whether it is frozen or ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use types::{CatalogVersion, InstanceId};

use crate::freezer::Freezer;
use crate::launch::Process;
use crate::lock::{Rank, RankedMutex};

/// A running instance; `C` is what the pool's user keeps with it and is dropped with it.
pub struct Instance<C> {
    /// Its id.
    pub id: InstanceId,
    /// The running thing.
    pub process: Arc<dyn Process>,
    /// What it runs.
    pub version: Arc<CatalogVersion>,
    /// The user's own.
    pub slot: C,
    /// Places for requests of sessions, which share one lease.
    pub(crate) requests: Semaphore,
    /// Whether it is frozen or ends.
    freezer: Freezer,
    /// Its grace is bounded, because a request waits for its room.
    grace_capped: AtomicBool,
}

impl<C> Instance<C> {
    pub(crate) fn new(id: InstanceId, process: Arc<dyn Process>, version: Arc<CatalogVersion>, slot: C) -> Self {
        let places = version.spec.max_concurrency(version.function.kind);
        let requests = Semaphore::new(usize::try_from(places).unwrap_or(Semaphore::MAX_PERMITS));
        let freezer = Freezer::new(RankedMutex::new(Rank::Frozen, false));
        Self { id, process, version, slot, requests, freezer, grace_capped: AtomicBool::new(false) }
    }

    /// Whether no request of a session is in it.
    pub(crate) fn is_silent(&self) -> bool {
        u32::try_from(self.requests.available_permits())
            .is_ok_and(|free| free >= self.version.spec.max_concurrency(self.version.function.kind))
    }

    /// Freezes it if it is still idle.
    pub(crate) fn freeze(&self, still_idle: impl FnOnce() -> bool) {
        if let Err(error) = self.freezer.freeze(still_idle, || self.process.freeze()) {
            // It runs on, which costs no more than it did before.
            tracing::debug!(instance = %self.id, %error, "failed to freeze an idle instance");
        }
    }

    /// How often it was frozen: what was kept with it before the last time may not be there for its
    /// processes any more. Of use to who has a lease, during which it is not frozen.
    pub fn suspensions(&self) -> u64 {
        self.freezer.suspensions()
    }

    /// Lets it go on, before a request is sent to it.
    pub(crate) fn thaw(&self) {
        if let Err(error) = self.freezer.thaw(|| self.process.thaw()) {
            // It has ended, as the request will find; if it has not, the request will time out and
            // have it killed.
            tracing::debug!(instance = %self.id, %error, "failed to thaw a frozen instance");
        }
    }

    /// Has it end within its own grace, or `longest` where that is less. It is marked as told to
    /// end: no freeze comes after.
    pub(crate) fn stop(&self, longest: Duration) {
        self.freezer.settle();
        self.process.stop(longest);
    }

    /// Whether it was told to end and may take longer for that than `longest`; true for the first
    /// who asks.
    pub(crate) fn cap_grace(&self, longest: Duration) -> bool {
        self.freezer.ends() && self.process.stop_grace() > longest && !self.grace_capped.swap(true, Ordering::Relaxed)
    }

    /// Marks it as told to end; true for the first caller. Called under the lock of admission,
    /// which counts it.
    pub(crate) fn tell_to_end(&self) -> bool {
        self.freezer.end()
    }
}
