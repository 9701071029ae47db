//! How a request gets a slot of an instance: a free one at once, or one through the queue.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use types::RequestId;

use crate::driver::Driver;
use crate::error::LeaseError;
use crate::policy::instance_table::GiveUp;
use crate::policy::queue::WaiterId;
use crate::state::{Acquired, Refused};
use crate::version::{Answer, Grant, Version, Waiting};

/// Outcome of requesting a slot from a version.
pub(crate) enum Asked<C: Default + Send + Sync + 'static> {
    Granted(Grant<C>),
    Queued(Queued<C>),
    /// The version left the pool between the look-up and the request.
    Gone,
}

/// A request's place in the queue, which it leaves when dropped.
pub(crate) struct Queued<C: Default + Send + Sync + 'static> {
    driver: Arc<Driver<C>>,
    version: Arc<Version<C>>,
    id: WaiterId,
    answer: oneshot::Receiver<Answer<C>>,
}

impl<C: Default + Send + Sync + 'static> Drop for Queued<C> {
    fn drop(&mut self) {
        let others_want = self.driver.apply(&self.version, |locked, now, _| {
            locked.waiters.remove(&self.id);
            locked.state.leave_queue(self.id, now)
        });
        // A granted slot that was not taken goes to another request.
        self.answer.close();
        if let Ok(Ok(grant)) = self.answer.try_recv() {
            self.driver.release(&self.version, grant.slot, false, Instant::now());
        }
        self.driver.admission.lock().end_wait(&self.version.catalog.key.function_id);
        // The room that was reserved for it goes to others.
        if !others_want && self.driver.unclaim(&self.version.catalog.key) {
            self.driver.retry_claims();
        }
    }
}

/// Requests a slot from a version: takes a free one, or queues the request. `event` is set for a
/// job image, whose instances take one request each and are never free.
pub(crate) fn ask<C: Default + Send + Sync + 'static>(
    driver: &Arc<Driver<C>>,
    version: &Arc<Version<C>>,
    request: &RequestId,
    event: Option<&Bytes>,
) -> Result<Asked<C>, LeaseError> {
    let mut locked = version.locked.lock();
    let now = Instant::now();
    match locked.state.acquire(now) {
        Acquired::Slot { slot, prewarm } => {
            let instance = locked.instance(slot);
            driver.note_use(version, &mut locked.state, now);
            drop(locked);
            if prewarm {
                driver.start_next(version);
            }
            // Inline rather than on another thread: a thaw takes less time than waking a thread.
            instance.thaw();
            Ok(Asked::Granted(Grant { instance, slot, cold: None }))
        }
        Acquired::Busy => {
            let key = &version.catalog.function.key;
            let begun = driver.admission.lock().begin_wait(&version.catalog.key.function_id, key);
            begun.map_err(|waiting_max| LeaseError::QueueFull { function: key.clone(), waiting_max })?;
            let (sender, answer) = oneshot::channel();
            let id = locked.state.wait(now);
            locked.waiters.insert(id, Waiting { request: request.clone(), event: event.cloned(), answer: sender });
            drop(locked);
            let (driver, version) = (Arc::clone(driver), Arc::clone(version));
            Ok(Asked::Queued(Queued { driver, version, id, answer }))
        }
        Acquired::Closed => Ok(Asked::Gone),
        Acquired::Stopped => Err(version.stopped()),
        Acquired::Draining => {
            drop(locked);
            let closed = driver.versions.read().closed;
            Err(if closed { version.closed() } else { version.superseded() })
        }
    }
}

impl<C: Default + Send + Sync + 'static> Queued<C> {
    /// Waits for a slot. Dropping the future cancels only this wait.
    pub async fn wait(mut self) -> Answer<C> {
        let (driver, version) = (Arc::clone(&self.driver), Arc::clone(&self.version));
        let function = &version.catalog.function.key;
        let mut refused = driver.start_wanted(&version);
        if refused.is_none() {
            // If a slot was expected to come free sooner than a start would be ready, but none did,
            // a start is due.
            let patience = version.locked.lock().state.table.patience();
            match timeout(patience, &mut self.answer).await {
                Ok(answered) => return answered.unwrap_or_else(|_| Err(version.closed())),
                Err(_) => refused = driver.start_wanted(&version),
            }
        }
        if let Some(refused) = refused.as_ref().filter(|refused| !refused.room_expected)
            && self.gives_up()
        {
            return Err(refused.error(function));
        }
        let refused = refused.filter(Refused::outlasts_waiting);
        let config = &driver.config;
        loop {
            match timeout(config.wait_max(), &mut self.answer).await {
                Ok(answered) => return answered.unwrap_or_else(|_| Err(version.closed())),
                Err(_) if self.gives_up() => {
                    let none_free =
                        || LeaseError::NoneFree { function: function.clone(), wait_ms_max: config.wait_ms_max };
                    return Err(refused.map_or_else(none_free, |refused| refused.error(function)));
                }
                Err(_) => {}
            }
        }
    }

    /// Takes the request off the queue, unless a slot is on its way for it.
    fn gives_up(&self) -> bool {
        self.version.locked.lock().state.give_up(self.id) == GiveUp::Removed
    }
}
