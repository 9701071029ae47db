//! A version in the pool: its state, the instances and requests behind the state's ids, and the
//! cancellation of its starts.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use types::{CatalogVersion, RequestId};

use crate::config::Config;
use crate::error::LeaseError;
use crate::instance::Instance;
use crate::launch::ColdStart;
use crate::lock::{Rank, RankedMutex};
use crate::policy::admission::limit::LimitExceeded;
use crate::policy::affinity::{SessionId, SessionSlot};
use crate::policy::deadlines::VersionNumber;
use crate::policy::history::History;
use crate::policy::instance_table::SlotIndex;
use crate::policy::queue::WaiterId;
use crate::state::{Effect, StartReason, VersionFacts, VersionState};

/// A slot of an instance for one request. The holder returns it, as a lease or by
/// [`crate::driver::Driver::release`].
pub(crate) struct Grant<C> {
    pub instance: Arc<Instance<C>>,
    pub slot: SlotIndex,
    /// Durations of the start, for the request that the instance was started for.
    pub cold: Option<ColdStart>,
}

/// The answer to a waiting request.
pub(crate) type Answer<C> = Result<Grant<C>, LeaseError>;

/// A request that waits for an instance.
pub(crate) struct Waiting<C> {
    pub request: RequestId,
    /// For a job image: the event that its instance is started for.
    pub event: Option<Bytes>,
    pub answer: oneshot::Sender<Answer<C>>,
}

/// The slot of a session, which its first request finds while the others wait for it.
pub(crate) type SessionCell<C> = Arc<OnceCell<(SlotIndex, Arc<Instance<C>>)>>;

/// An effect with the instances and requests that it concerns.
pub(crate) enum Action<C> {
    /// With the restarts of the version before it.
    Start(StartReason, u64, RequestId, Option<Bytes>),
    Serve(oneshot::Sender<Answer<C>>, Grant<C>),
    Refuse(oneshot::Sender<Answer<C>>, LeaseError),
    Stop(Arc<Instance<C>>, bool),
    Freeze(Arc<Instance<C>>, SlotIndex),
    Return(SessionSlot),
    /// Dropped without a lock held, because the pool user's state is dropped with it.
    Forget(Arc<Instance<C>>),
}

/// The data that the lock of a version guards.
pub(crate) struct Locked<C> {
    pub state: VersionState,
    /// By slot; vacant where the table's slot is.
    instances: Vec<Option<Arc<Instance<C>>>>,
    pub waiters: HashMap<WaiterId, Waiting<C>>,
    /// Cells of sessions that have no slot yet.
    pub cells: HashMap<SessionId, SessionCell<C>>,
    /// Answers the start check.
    pub check: Option<oneshot::Sender<Result<(), LeaseError>>>,
}

impl<C> Locked<C> {
    /// The instance of a slot that is leased or idle.
    pub fn instance(&self, slot: SlotIndex) -> Arc<Instance<C>> {
        Arc::clone(self.instances[slot].as_ref().expect("the slot of an instance is not vacant"))
    }

    pub fn place(&mut self, slot: SlotIndex, instance: Arc<Instance<C>>) {
        if self.instances.len() <= slot {
            self.instances.resize_with(slot + 1, || None);
        }
        self.instances[slot] = Some(instance);
    }

    /// Removes the cell of a session that has ended.
    pub fn drop_unused_cell(&mut self, session: SessionId) {
        if self.state.affinity.as_ref().is_none_or(|affinity| !affinity.contains(session)) {
            self.cells.remove(&session);
        }
    }

    /// Resolves an effect; `None` when its request has gone away.
    pub fn resolve(&mut self, effect: Effect, cold: &mut Option<ColdStart>) -> Option<Action<C>> {
        match effect {
            Effect::Start(reason) => {
                let (request, event) = self.request_of(reason);
                Some(Action::Start(reason, self.state.restarts(), request, event))
            }
            Effect::Serve { waiter, slot } => {
                let waiting = self.waiters.remove(&waiter)?;
                let grant = Grant { instance: self.instance(slot), slot, cold: cold.take() };
                Some(Action::Serve(waiting.answer, grant))
            }
            Effect::Refuse { waiter, error } => {
                let waiting = self.waiters.remove(&waiter)?;
                Some(Action::Refuse(waiting.answer, error))
            }
            Effect::Stop { slot, capped } => Some(Action::Stop(self.instance(slot), capped)),
            Effect::Freeze { slot } => Some(Action::Freeze(self.instance(slot), slot)),
            Effect::Return(held) => Some(Action::Return(held)),
            Effect::Forget { slot } => self.instances[slot].take().map(Action::Forget),
        }
    }

    /// The request that an instance is started for, or a new id; and the event, where the instance
    /// is for one.
    fn request_of(&self, reason: StartReason) -> (RequestId, Option<Bytes>) {
        let waiting = match reason {
            StartReason::Request(waiter) => self.waiters.get(&waiter),
            _ => None,
        };
        waiting.map_or_else(|| (RequestId::random(), None), |waiting| (waiting.request.clone(), waiting.event.clone()))
    }
}

/// A version in the pool.
pub(crate) struct Version<C> {
    pub number: VersionNumber,
    pub catalog: Arc<CatalogVersion>,
    pub locked: RankedMutex<Locked<C>>,
    /// Whether its requests belong to sessions.
    pub has_sessions: bool,
    /// Cancelled when the version takes no more requests: starts in progress are cancelled.
    pub drained: CancellationToken,
    /// Permits of its starts that run at the same time.
    pub starting: Semaphore,
}

impl<C> Version<C> {
    /// `history` is the earlier history of the version; `unserved` when the catalog does not have
    /// it yet.
    pub fn new(
        number: VersionNumber,
        catalog: Arc<CatalogVersion>,
        history: Option<History>,
        unserved: bool,
        config: &Config,
    ) -> Self {
        let mut state = VersionState::new(VersionFacts::of(&catalog), config);
        state.set_unserved(unserved);
        if let Some(history) = history {
            state.table.remember(history);
        }
        let has_sessions = state.affinity.is_some();
        let (instances, waiters, cells) = (Vec::new(), HashMap::new(), HashMap::new());
        Self {
            number,
            catalog,
            locked: RankedMutex::new(Rank::Version, Locked { state, instances, waiters, cells, check: None }),
            has_sessions,
            drained: CancellationToken::new(),
            starting: Semaphore::new(config.starts_parallel_share()),
        }
    }

    /// The instances that have not ended.
    pub fn live_instances(&self) -> Vec<Arc<Instance<C>>> {
        let locked = self.locked.lock();
        let live = |slot: &SlotIndex| locked.state.table.is_live(*slot);
        (0..locked.instances.len()).filter(live).map(|slot| locked.instance(slot)).collect()
    }

    /// The error of a function whose quota is 0.
    pub fn stopped(&self) -> LeaseError {
        LeaseError::OverQuota {
            function: self.catalog.function.key.clone(),
            limit: LimitExceeded::Reserved { max_mb: 0 },
        }
    }

    pub fn superseded(&self) -> LeaseError {
        LeaseError::Superseded { function: self.catalog.function.key.clone(), version: self.catalog.key.version }
    }

    pub fn closed(&self) -> LeaseError {
        LeaseError::Closed { function: self.catalog.function.key.clone() }
    }
}
