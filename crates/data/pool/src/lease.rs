//! The right to send one request to an instance, which returns when dropped.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::driver::Driver;
use crate::instance::Instance;
use crate::launch::ColdStart;
use crate::policy::instance_table::SlotIndex;
use crate::session_slot::SessionRequest;
use crate::version::{Grant, Version};

/// The right to send one request to an instance; returns when dropped.
pub struct Lease<C: Default + Send + Sync + 'static> {
    driver: Arc<Driver<C>>,
    version: Arc<Version<C>>,
    instance: Arc<Instance<C>>,
    slot: SlotIndex,
    cold: Option<ColdStart>,
    announced: bool,
    since: Instant,
    /// Set for a request that shares its session's slot: the slot is not returned by this lease.
    session: Option<SessionRequest<C>>,
}

impl<C: Default + Send + Sync + 'static> Lease<C> {
    /// The lease of a granted slot, with the session of the request if it has one.
    pub(crate) fn new(
        driver: Arc<Driver<C>>,
        version: Arc<Version<C>>,
        grant: Grant<C>,
        session: Option<SessionRequest<C>>,
    ) -> Self {
        let Grant { instance, slot, cold } = grant;
        Self { driver, version, instance, slot, cold, announced: false, since: Instant::now(), session }
    }

    /// Durations of the start, when the instance was started for this request.
    pub fn cold(&self) -> Option<ColdStart> {
        self.cold
    }

    /// Announces that the lease is about to return (its response is complete, its log is not), so
    /// that a new request waits for it instead of starting another instance.
    pub fn returning(&mut self) {
        if !self.announced && self.session.is_none() {
            self.announced = true;
            self.version.locked.lock().state.table.returning(self.slot);
        }
    }

    /// Gives the instance no new requests; it ends when its last lease returns.
    pub fn recycle(&self) {
        self.driver.retire(&self.version, self.slot);
    }

    /// Stops the instance by its stop signal, and kills it after its grace; it takes no new
    /// requests.
    pub fn stop(&self) {
        self.recycle();
        self.driver.stop_within(&self.instance, Duration::MAX);
    }

    /// Kills the instance now, with all its requests.
    pub fn kill(&self) {
        self.recycle();
        self.driver.kill(&self.instance);
    }
}

impl<C: Default + Send + Sync + 'static> Deref for Lease<C> {
    type Target = Instance<C>;

    fn deref(&self) -> &Instance<C> {
        &self.instance
    }
}

impl<C: Default + Send + Sync + 'static> Drop for Lease<C> {
    fn drop(&mut self) {
        if self.session.is_none() {
            self.driver.release(&self.version, self.slot, self.announced, self.since);
        }
    }
}

impl<C: Default + Send + Sync + 'static> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("instance", &self.instance.id).field("cold", &self.cold).finish_non_exhaustive()
    }
}
