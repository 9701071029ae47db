//! A running instance in the pool: its process, and whether it is frozen or ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use types::{CatalogVersion, InstanceId};

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
    /// Held while it is frozen or thawed, so that the two never cross.
    frozen: RankedMutex<bool>,
    /// How often it was frozen.
    suspensions: AtomicU64,
    /// It was told to end, and its load counts as ending.
    told_to_end: AtomicBool,
    /// Its grace is bounded, because somebody waits for its room.
    hurries: AtomicBool,
}

impl<C> Instance<C> {
    pub(crate) fn new(id: InstanceId, process: Arc<dyn Process>, version: Arc<CatalogVersion>, slot: C) -> Self {
        let places = version.spec.max_concurrency(version.function.kind);
        let requests = Semaphore::new(usize::try_from(places).unwrap_or(Semaphore::MAX_PERMITS));
        let (frozen, suspensions) = (RankedMutex::new(Rank::Frozen, false), AtomicU64::new(0));
        let (told_to_end, hurries) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { id, process, version, slot, requests, frozen, suspensions, told_to_end, hurries }
    }

    /// Whether no request of a session is in it.
    pub(crate) fn is_silent(&self) -> bool {
        u32::try_from(self.requests.available_permits())
            .is_ok_and(|free| free >= self.version.spec.max_concurrency(self.version.function.kind))
    }

    /// Freezes it if it still rests: a lease that came first has it go on, one that comes now waits and thaws it.
    pub(crate) fn freeze(&self, still_rests: impl FnOnce() -> bool) {
        let mut frozen = self.frozen.lock();
        if *frozen || self.told_to_end.load(Ordering::Relaxed) || !still_rests() {
            return;
        }
        match self.process.freeze() {
            Ok(()) => {
                *frozen = true;
                self.suspensions.fetch_add(1, Ordering::Relaxed);
            }
            // It runs on, which costs no more than it did before.
            Err(error) => tracing::debug!(instance = %self.id, %error, "an idle instance was not frozen"),
        }
    }

    /// How often it was frozen: what was kept with it before the last time may not be there for its processes any more. Of
    /// use to who has a lease, during which it is not frozen.
    pub fn suspensions(&self) -> u64 {
        self.suspensions.load(Ordering::Relaxed)
    }

    /// Lets it go on, before a request is sent to it.
    pub(crate) fn thaw(&self) {
        let mut frozen = self.frozen.lock();
        if !std::mem::take(&mut *frozen) {
            return;
        }
        if let Err(error) = self.process.thaw() {
            // It has ended, as the request will find; if it has not, the request will time out and have it killed.
            tracing::debug!(instance = %self.id, %error, "a frozen instance was not thawed");
        }
    }

    /// Has it end within its own grace, or `longest` where that is less. It is marked as told to end: no freeze comes after.
    pub(crate) fn stop(&self, longest: Duration) {
        *self.frozen.lock() = false;
        self.process.stop(longest);
    }

    /// Whether it was told to end and may take longer for that than `longest`; true for the first who asks.
    pub(crate) fn must_hurry(&self, longest: Duration) -> bool {
        self.told_to_end.load(Ordering::Relaxed)
            && self.process.stop_grace() > longest
            && !self.hurries.swap(true, Ordering::Relaxed)
    }

    /// Marks it as told to end; true for the first who does. Called under the lock of the admission, which counts it.
    pub(crate) fn tell_to_end(&self) -> bool {
        !self.told_to_end.swap(true, Ordering::Relaxed)
    }
}
