//! Requests that belong to a session: they go to the session's instance, whatever else it serves.
//!
//! The first request of a session acquires a slot for it as any request does; the others share it.
//! The instance counts its concurrent requests, because its table counts sessions.

use std::sync::Arc;

use tokio::time::timeout;
use types::RequestId;

use crate::acquire::{Asked, ask};
use crate::driver::Driver;
use crate::error::LeaseError;
use crate::instance::Instance;
use crate::launch::ColdStart;
use crate::policy::affinity::SessionId;
use crate::policy::instance_table::SlotIndex;
use crate::session_key::SessionKey;
use crate::version::{Grant, SessionCell, Version};

/// A request of a session, removed from it when dropped.
pub(crate) struct SessionRequest<C: Default + Send + Sync + 'static> {
    driver: Arc<Driver<C>>,
    version: Arc<Version<C>>,
    session: SessionId,
    /// The instance that counts the request.
    inside: Option<Arc<Instance<C>>>,
}

/// The target of a session's requests.
enum SessionInstance<C> {
    Known(SlotIndex, Arc<Instance<C>>),
    /// The session has no instance yet.
    Wanted(SessionCell<C>),
}

impl<C: Default + Send + Sync + 'static> Drop for SessionRequest<C> {
    fn drop(&mut self) {
        if let Some(instance) = &self.inside {
            instance.requests.add_permits(1);
        }
        self.driver.apply(&self.version, |locked, now, effects| {
            locked.state.leave_session(self.session, now, effects);
            locked.drop_unused_cell(self.session);
        });
    }
}

impl<C: Default + Send + Sync + 'static> SessionRequest<C> {
    fn enter(
        driver: &Arc<Driver<C>>,
        version: &Arc<Version<C>>,
        key: Option<&SessionKey>,
    ) -> Result<(Self, SessionInstance<C>), LeaseError> {
        let entered = driver.apply(version, |locked, now, effects| {
            if locked.state.is_stopped() {
                return None;
            }
            let (session, slot) = locked.state.enter_session(key, now, effects)?;
            let instance = match slot {
                Some(slot) => SessionInstance::Known(slot, locked.instance(slot)),
                None => SessionInstance::Wanted(Arc::clone(locked.cells.entry(session).or_default())),
            };
            Some((session, instance))
        });
        let (session, instance) = entered.ok_or_else(|| version.stopped())?;
        let (driver, version) = (Arc::clone(driver), Arc::clone(version));
        Ok((Self { driver, version, session, inside: None }, instance))
    }

    /// Finds a slot for the session; one of several concurrent requests does, and the others wait
    /// for it.
    async fn find(&self, cell: &SessionCell<C>, request: &RequestId) -> Result<Found<C>, Unassigned> {
        let _waiting = Counted::begin(&self.driver, &self.version).map_err(Unassigned::Refused)?;
        let mut cold = None;
        let find = async {
            let grant = match ask(&self.driver, &self.version, request, None).map_err(Unassigned::Refused)? {
                Asked::Granted(grant) => grant,
                Asked::Queued(queued) => queued.wait().await.map_err(Unassigned::Refused)?,
                Asked::Gone => return Err(Unassigned::Gone),
            };
            self.driver.apply(&self.version, |locked, now, _| {
                locked.cells.remove(&self.session);
                locked.state.assign_session(self.session, grant.slot, now);
            });
            cold = Some(grant.cold);
            Ok((grant.slot, grant.instance))
        };
        let (slot, instance) = cell.get_or_try_init(|| find).await?.clone();
        Ok(Found { slot, instance, first: cold.is_some(), cold: cold.flatten() })
    }

    /// Takes a request permit of the instance, which many sessions may share.
    async fn go_in(&mut self, instance: &Arc<Instance<C>>) -> Result<(), LeaseError> {
        let permit = match instance.requests.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = Counted::begin(&self.driver, &self.version)?;
                let config = &self.driver.config;
                let permit = timeout(config.wait_max(), instance.requests.acquire()).await;
                let permit = permit.map_err(|_| LeaseError::NoneFree {
                    function: self.version.catalog.function.key.clone(),
                    wait_ms_max: config.wait_ms_max,
                })?;
                permit.expect("the places of an instance are never closed")
            }
        };
        permit.forget();
        self.inside = Some(Arc::clone(instance));
        Ok(())
    }

    fn takes_requests(&self, slot: SlotIndex) -> bool {
        self.version.locked.lock().state.table.takes_requests(slot)
    }

    fn forget(&self) {
        self.driver.apply(&self.version, |locked, _, effects| locked.state.forget_session(self.session, effects));
    }
}

/// The slot that was found for a session.
struct Found<C> {
    slot: SlotIndex,
    instance: Arc<Instance<C>>,
    /// Whether this request found it.
    first: bool,
    cold: Option<ColdStart>,
}

/// Why a session has no slot.
enum Unassigned {
    /// The version left the pool between the look-up and the request.
    Gone,
    Refused(LeaseError),
}

/// A waiting request, counted until dropped.
struct Counted<'a, C: Default + Send + Sync + 'static> {
    driver: &'a Driver<C>,
    version: &'a Version<C>,
}

impl<'a, C: Default + Send + Sync + 'static> Counted<'a, C> {
    fn begin(driver: &'a Driver<C>, version: &'a Version<C>) -> Result<Self, LeaseError> {
        let function = &version.catalog.function.key;
        let begun = driver.admission.lock().begin_wait(&version.catalog.key.function_id, function);
        begun.map_err(|waiting_max| LeaseError::QueueFull { function: function.clone(), waiting_max })?;
        Ok(Self { driver, version })
    }
}

impl<C: Default + Send + Sync + 'static> Drop for Counted<'_, C> {
    fn drop(&mut self) {
        self.driver.admission.lock().end_wait(&self.version.catalog.key.function_id);
    }
}

/// Acquires the instance of a session for a request; `None` when the version left the pool
/// meanwhile. A request without a key is a session of its own.
pub(crate) async fn acquire<C: Default + Send + Sync + 'static>(
    driver: &Arc<Driver<C>>,
    version: &Arc<Version<C>>,
    request: &RequestId,
    key: Option<&SessionKey>,
) -> Result<Option<(Grant<C>, SessionRequest<C>)>, LeaseError> {
    loop {
        let (mut member, instance) = SessionRequest::enter(driver, version, key)?;
        let found = match instance {
            SessionInstance::Known(slot, instance) => Found { slot, instance, first: true, cold: None },
            SessionInstance::Wanted(cell) => match member.find(&cell, request).await {
                Ok(found) => found,
                Err(Unassigned::Gone) => return Ok(None),
                Err(Unassigned::Refused(error)) => return Err(error),
            },
        };
        // An ending instance takes no more of the session's requests, except the one that just got
        // it.
        if !found.first && !member.takes_requests(found.slot) {
            member.forget();
            continue;
        }
        member.go_in(&found.instance).await?;
        found.instance.thaw();
        let Found { slot, instance, cold, .. } = found;
        return Ok(Some((Grant { instance, slot, cold }, member)));
    }
}
