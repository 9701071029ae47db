//! Requests that belong to a session: they go to the session's instance, whoever else it serves.
//!
//! The first request of a session leases an instance for it as any request does; the others ride along. How many are in an
//! instance at once is kept by the instance, because the table counts sessions.

use std::sync::Arc;

use tokio::time::{Instant, timeout};
use types::RequestId;

use crate::error::LeaseError;
use crate::handle::{Asked, Pool};
use crate::instance::{Instance, Lease};
use crate::session_key::SessionKey;
use crate::sessions::{Session, Sessions};
use crate::shared::Shared;
use crate::version::VersionPool;

/// A request's place in a session, left when dropped.
pub(crate) struct Rider<C: Default + Send + Sync + 'static> {
    pool: Arc<VersionPool<C>>,
    session: Arc<Session<C>>,
    /// `None` for a session of one request.
    key: Option<SessionKey>,
    /// The instance that counts the request.
    inside: Option<Arc<Instance<C>>>,
}

impl<C: Default + Send + Sync + 'static> Drop for Rider<C> {
    fn drop(&mut self) {
        if let Some(instance) = &self.inside {
            instance.requests.add_permits(1);
        }
        let left = self.session.leave(Instant::now());
        // Nobody got an instance for it.
        if left == 0 && !self.session.seat.initialized() {
            self.forget();
        }
    }
}

impl<C: Default + Send + Sync + 'static> Rider<C> {
    fn enter(pool: &Arc<VersionPool<C>>, sessions: &Sessions<C>, key: Option<&SessionKey>) -> Self {
        let now = Instant::now();
        let session = key.map_or_else(|| Session::begin(now), |key| sessions.enter(key, now));
        Self { pool: Arc::clone(pool), session, key: key.cloned(), inside: None }
    }

    fn forget(&self) {
        if let (Some(sessions), Some(key)) = (&self.pool.sessions, &self.key) {
            sessions.forget(key, &self.session);
        }
    }
}

/// Why a session has no instance.
enum Unseated {
    /// The version left the pool between the look-up and the question.
    Gone,
    Refused(LeaseError),
}

/// A waiting request, counted as such until dropped.
struct Counted<'a, C: Default + Send + Sync + 'static> {
    shared: &'a Shared<C>,
    pool: &'a VersionPool<C>,
}

impl<'a, C: Default + Send + Sync + 'static> Counted<'a, C> {
    fn begin(shared: &'a Shared<C>, pool: &'a VersionPool<C>) -> Result<Self, LeaseError> {
        let function = &pool.version.function.key;
        let begun = shared.admission.lock().begin_wait(&pool.version.key.function_id, function);
        begun.map_err(|waiting_max| LeaseError::QueueFull { function: function.clone(), waiting_max })?;
        Ok(Self { shared, pool })
    }
}

impl<C: Default + Send + Sync + 'static> Drop for Counted<'_, C> {
    fn drop(&mut self) {
        self.shared.admission.lock().end_wait(&self.pool.version.key.function_id);
    }
}

impl<C: Default + Send + Sync + 'static> Pool<C> {
    /// Leases the instance of a session to a request; nothing when the version left the pool meanwhile. A request without
    /// a key is a session of its own.
    pub(crate) async fn ride(
        &self,
        pool: &Arc<VersionPool<C>>,
        sessions: &Sessions<C>,
        request: &RequestId,
        key: Option<&SessionKey>,
    ) -> Result<Option<Lease<C>>, LeaseError> {
        loop {
            let mut rider = Rider::enter(pool, sessions, key);
            let session = Arc::clone(&rider.session);
            let mut first = false;
            let seat = match session.seat.get() {
                Some(seat) => seat,
                None => match self.seat(pool, &session, request, &mut first).await {
                    Ok(seat) => seat,
                    Err(Unseated::Gone) => return Ok(None),
                    Err(Unseated::Refused(error)) => return Err(error),
                },
            };
            // One that ends cannot have the session any more. Whoever just got it goes there all the same.
            if !first && !pool.table.lock().takes_requests(seat.index()) {
                rider.forget();
                continue;
            }
            self.go_in(pool, seat.instance()).await?;
            rider.inside = Some(Arc::clone(seat.instance()));
            seat.instance().thaw();
            let cold = seat.cold().filter(|_| first);
            return Ok(Some(seat.share(rider, cold)));
        }
    }

    /// Finds an instance for a session; of several requests one does, and the others wait for it.
    async fn seat<'a>(
        &self,
        pool: &Arc<VersionPool<C>>,
        session: &'a Session<C>,
        request: &RequestId,
        first: &mut bool,
    ) -> Result<&'a Lease<C>, Unseated> {
        let _waiting = Counted::begin(&self.shared, pool).map_err(Unseated::Refused)?;
        let take = async {
            *first = true;
            let lease = match self.ask(pool, request).map_err(Unseated::Refused)? {
                Asked::Leased(lease) => lease,
                Asked::Waits(id, answer) => self.wait(pool, id, answer).await.map_err(Unseated::Refused)?,
                Asked::Gone => return Err(Unseated::Gone),
            };
            Ok(lease)
        };
        session.seat.get_or_try_init(|| take).await
    }

    /// Takes a request's place in an instance that many sessions may use.
    async fn go_in(&self, pool: &VersionPool<C>, instance: &Instance<C>) -> Result<(), LeaseError> {
        if let Ok(permit) = instance.requests.try_acquire() {
            permit.forget();
            return Ok(());
        }
        let _waiting = Counted::begin(&self.shared, pool)?;
        let config = &self.shared.config;
        let none_free =
            || LeaseError::NoneFree { function: pool.version.function.key.clone(), wait_ms_max: config.wait_ms_max };
        let permit = timeout(config.wait_max(), instance.requests.acquire()).await.map_err(|_| none_free())?;
        permit.expect("the places of an instance are never closed").forget();
        Ok(())
    }
}
