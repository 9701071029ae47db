//! The state of one version at one generation: what happens to it, `now`, and the effects that follow.
//!
//! Pure. Instances and requests are ids; admission, which all versions share, comes in where a start needs
//! it. The driver carries out the effects, in their order and with no lock held.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use types::{CatalogVersion, FunctionId, FunctionKey, ProvisionedSpec, VersionName};

use crate::config::Config;
use crate::error::LeaseError;
use crate::launch::LaunchError;
use crate::policy::admission::limit::LimitExceeded;
use crate::policy::admission::{Admission, StartRequest};
use crate::policy::affinity::{Affinity, SessionId, SessionSlot};
use crate::policy::backoff::Backoff;
use crate::policy::history::History;
use crate::policy::instance_table::{GiveUp, InstanceTable, Phase, Released, SlotIndex};
use crate::policy::provisioning::Provisioning;
use crate::policy::queue::WaiterId;
use crate::session_key::SessionKey;
use crate::usage::ProvisionedState;

/// The tag of functions whose idle instances are not frozen. Tags belong to a function and are set when it
/// is made; the API has no field of its own for this.
const FREEZE_OFF: (&str, &str) = ("sampan:freeze", "off");
/// How far ahead maintenance trusts the wall clock, which may be set: scheduled actions are late by at most this.
const WALL_CLOCK_TRUST: Duration = Duration::from_secs(5);

/// What a start is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartReason {
    /// A request waits.
    Request(WaiterId),
    /// Provisioned concurrency.
    Provisioned,
    /// The forecast expects calls.
    Forecast,
    /// The start check of a version that is not served yet.
    Check,
}

impl StartReason {
    fn waiter(self) -> Option<WaiterId> {
        match self {
            Self::Request(waiter) => Some(waiter),
            Self::Provisioned | Self::Forecast | Self::Check => None,
        }
    }
}

/// What the driver is to do after a transition.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// Start an instance, which admission has counted.
    Start(StartReason),
    /// Give a slot of an instance to a waiting request.
    Serve { waiter: WaiterId, slot: SlotIndex },
    /// Answer a waiting request with an error.
    Refuse { waiter: WaiterId, error: LeaseError },
    /// Have an instance end in its own time; `hurry` bounds that, because its room is waited for.
    Stop { slot: SlotIndex, hurry: bool },
    /// Freeze an instance, if [`VersionState::may_freeze`] still says so by then.
    Freeze { slot: SlotIndex },
    /// Return a slot that a session held.
    Return(SessionSlot),
    /// Forget an instance: it has ended and has no leases.
    Forget { slot: SlotIndex },
}

/// Why no start was begun for a waiting request.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// What was in the way.
    pub why: InTheWay,
    /// Whether something may come free for it.
    pub room_expected: bool,
    /// Since when the request waits.
    pub since: Instant,
}

/// What is in the way of a start.
#[derive(Debug, Clone)]
pub(crate) enum InTheWay {
    /// A limit.
    Limit(LimitExceeded),
    /// The version's last start, which failed.
    Failure(LaunchError),
}

impl Refused {
    /// The answer to a request of the function.
    pub fn error(&self, function: &FunctionKey) -> LeaseError {
        match &self.why {
            InTheWay::Limit(limit) => LeaseError::OverQuota { function: function.clone(), limit: *limit },
            InTheWay::Failure(error) => LeaseError::BackedOff(error.clone()),
        }
    }

    /// Whether it is the better answer also to one that has waited.
    pub fn outlasts_waiting(&self) -> bool {
        match &self.why {
            InTheWay::Limit(limit) => limit.is_quota(),
            InTheWay::Failure(_) => true,
        }
    }
}

/// What a request's question for a slot led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// A slot; `prewarm` when another instance is to be started right away, because others often follow.
    Slot { slot: SlotIndex, prewarm: bool },
    /// None is free; see [`VersionState::wait`].
    Busy,
    /// The version left the pool.
    Closed,
    /// It was replaced or removed.
    Draining,
    /// The function's quota is 0.
    Stopped,
}

/// The state; see the module.
pub(crate) struct VersionState {
    version: Arc<CatalogVersion>,
    pub table: InstanceTable,
    pub affinity: Option<Affinity>,
    provisioning: Provisioning,
    backoff: Backoff,
    /// Leases that an instance may have at once.
    leases_max: u32,
    /// `None` when idle instances are not frozen.
    freeze_after: Option<Duration>,
    /// The least time in which something is to be done about a version that was just used.
    settle: Duration,
    /// The deadline that is set.
    deadline: Option<Instant>,
    /// The function's quota is 0.
    stopped: bool,
    /// The catalog does not have it yet: its start check is under way.
    unserved: bool,
}

impl VersionState {
    pub fn new(version: Arc<CatalogVersion>, config: &Config) -> Self {
        let kind = version.function.kind;
        let affinity = version.spec.session(kind).map(Affinity::new);
        // A session holds one lease for all its requests.
        let leases_max = match version.spec.session(kind) {
            Some(spec) => spec.per_instance_max,
            None => version.spec.max_concurrency(kind),
        };
        let frozen = !version.function.tags.iter().any(|(key, value)| (key.as_str(), value.as_str()) == FREEZE_OFF);
        let freeze_after = config.freeze_after().filter(|_| frozen);
        let policy = config.keep_alive_policy();
        let shortest = [freeze_after, affinity.as_ref().map(Affinity::shortest), Some(policy.keep_min)];
        Self {
            version,
            table: InstanceTable::new(leases_max, policy),
            affinity,
            provisioning: Provisioning::new(config.start_pauses()),
            backoff: Backoff::new(config.start_pauses()),
            leases_max,
            freeze_after,
            settle: shortest.into_iter().flatten().min().unwrap_or_default(),
            deadline: None,
            stopped: false,
            unserved: false,
        }
    }

    /// Takes a free slot for a request.
    pub fn acquire(&mut self, now: Instant) -> Acquired {
        match self.table.phase() {
            Phase::Open if self.stopped => return Acquired::Stopped,
            Phase::Open => {}
            Phase::Draining => return Acquired::Draining,
            Phase::Closed => return Acquired::Closed,
        }
        match self.table.acquire(now) {
            Some(slot) => Acquired::Slot { slot, prewarm: self.table.lacks_next(now) },
            None => Acquired::Busy,
        }
    }

    /// A lease that was out for so long returns; `announced` when it said before that it would. Where `yields`, the
    /// instance makes room for who has waited for longer than this version's own requests.
    pub fn release(
        &mut self,
        slot: SlotIndex,
        announced: bool,
        out: Duration,
        yields: bool,
        now: Instant,
    ) -> Option<Effect> {
        if yields {
            // It has this lease, so it does not end before that is back.
            self.table.retire(slot);
        }
        match self.table.release(slot, announced, out, now) {
            Released::Serve(waiter) => Some(Effect::Serve { waiter, slot }),
            Released::Stop => Some(Effect::Stop { slot, hurry: yields }),
            Released::Gone => Some(Effect::Forget { slot }),
            Released::Kept => None,
        }
    }

    /// Queues a request behind those that wait.
    pub fn wait(&mut self, now: Instant) -> WaiterId {
        self.table.wait(now)
    }

    /// A request waits no more; whether those that still do want a start.
    pub fn leave_queue(&mut self, waiter: WaiterId, now: Instant) -> bool {
        self.table.cancel(waiter);
        self.table.starts_wanted(now) > 0
    }

    /// Takes a request off the queue unless something is on its way for it.
    pub fn give_up(&mut self, waiter: WaiterId) -> GiveUp {
        self.table.give_up(waiter)
    }

    /// The session of a key, or a new one, with a request more; and the slot that it has.
    pub fn enter_session(
        &mut self,
        key: Option<&SessionKey>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Option<(SessionId, Option<SlotIndex>)> {
        let affinity = self.affinity.as_mut()?;
        if let Some(key) = key {
            if let Some(id) = affinity.known(key, now) {
                let slot = affinity.slot(id);
                // An instance that ends takes no more requests of the session.
                if slot.is_none_or(|slot| self.table.takes_requests(slot)) {
                    affinity.enter(id);
                    return Some((id, slot));
                }
            }
            effects.extend(affinity.forget_key(key).map(Effect::Return));
        }
        Some((affinity.begin(key, now), None))
    }

    /// A slot was found for a session.
    pub fn assign_session(&mut self, id: SessionId, slot: SlotIndex, now: Instant) {
        if let Some(affinity) = &mut self.affinity {
            affinity.assign(id, slot, now);
        }
    }

    /// A request of a session was answered.
    pub fn leave_session(&mut self, id: SessionId, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(affinity) = &mut self.affinity {
            effects.extend(affinity.leave(id, now).map(Effect::Return));
        }
    }

    /// The session's key leads to it no longer.
    pub fn forget_session(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        if let Some(affinity) = &mut self.affinity {
            effects.extend(affinity.forget(id).map(Effect::Return));
        }
    }

    /// A start has an instance: where it stands.
    pub fn started(
        &mut self,
        reason: StartReason,
        took: Duration,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> SlotIndex {
        let started = self.table.started(reason.waiter(), took, now);
        let slot = started.slot;
        effects.extend(started.granted.into_iter().map(|waiter| Effect::Serve { waiter, slot }));
        if started.end {
            effects.push(Effect::Stop { slot, hurry: false });
        }
        slot
    }

    /// A start succeeded; whether some had failed before it, so that starts were begun one at a time until now.
    pub fn recovered(&mut self, reason: StartReason) -> bool {
        let recovered = self.backoff.succeeded();
        if recovered || reason == StartReason::Provisioned {
            self.provisioning.succeeded();
        }
        recovered
    }

    /// A start that was begun at `begun` failed.
    pub fn start_failed(
        &mut self,
        reason: StartReason,
        error: &LeaseError,
        begun: Instant,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if let LeaseError::Launch(error) = error {
            self.backoff.failed(error, begun, now);
        }
        match reason {
            StartReason::Request(waiter) => {
                let failed = self.table.start_failed(waiter);
                effects.extend(failed.into_iter().map(|waiter| Effect::Refuse { waiter, error: error.clone() }));
            }
            StartReason::Provisioned => {
                self.table.prewarm_failed();
                match self.backoff.in_the_way(now, 0) {
                    Some(_) => self.provisioning.start_failed(error.to_string()),
                    None => self.provisioning.failed(error.to_string(), now),
                }
            }
            StartReason::Check => self.table.prewarm_failed(),
            StartReason::Forecast => self.table.forecast_failed(),
        }
    }

    /// An instance has ended, whoever ended it.
    pub fn ended(&mut self, slot: SlotIndex, effects: &mut Vec<Effect>) {
        if self.table.ended(slot) {
            effects.push(Effect::Forget { slot });
        }
    }

    /// Gives an instance no new leases; it ends when the last one returns.
    pub fn retire(&mut self, slot: SlotIndex, effects: &mut Vec<Effect>) {
        if self.table.retire(slot) {
            effects.push(Effect::Stop { slot, hurry: false });
        }
    }

    /// Ends an instance if it is still idle.
    pub fn evict(&mut self, slot: SlotIndex, hurry: bool, effects: &mut Vec<Effect>) {
        if self.table.evict(slot) {
            effects.push(Effect::Stop { slot, hurry });
        }
    }

    /// Takes no more requests: those that wait are refused with `error`, and instances end when their leases return.
    /// False when that was done before.
    pub fn drain(&mut self, error: &LeaseError, effects: &mut Vec<Effect>) -> bool {
        if self.table.phase() != Phase::Open {
            return false;
        }
        let (idle, waiters) = self.table.drain();
        if let Some(affinity) = &mut self.affinity {
            effects.extend(affinity.clear().into_iter().map(Effect::Return));
        }
        effects.extend(idle.into_iter().map(|slot| Effect::Stop { slot, hurry: false }));
        effects.extend(waiters.into_iter().map(|waiter| Effect::Refuse { waiter, error: error.clone() }));
        true
    }

    /// Whether waiting requests need starts beside those in progress.
    pub fn wants_starts(&self, now: Instant) -> bool {
        self.table.starts_wanted(now) > 0
    }

    /// Begins the starts that waiting requests need, as far as backoff and admission let them. Says what was in the way.
    pub fn start_wanted(
        &mut self,
        admission: &mut Admission,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Option<Refused> {
        for _ in 0..self.table.starts_wanted(now) {
            let since = self.table.waiting_since().unwrap_or(now);
            if let Some(error) = self.backoff.in_the_way(now, self.table.starts()) {
                let room_expected = self.table.open() > 0 || self.table.starts() > 0;
                return Some(Refused { why: InTheWay::Failure(error), room_expected, since });
            }
            let request = start_request(&self.version, since);
            if let Err(limit) = admission.reserve(&request, now) {
                let room_expected = admission.room_expected(&request, limit);
                admission.claim(&request, limit);
                return Some(Refused { why: InTheWay::Limit(limit), room_expected, since });
            }
            let waiter = self.table.begin_start().expect("a start is wanted for a waiter that has none");
            effects.push(Effect::Start(StartReason::Request(waiter)));
        }
        None
    }

    /// Begins the start of a version's check.
    pub fn start_check(
        &mut self,
        admission: &mut Admission,
        since: Instant,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<(), LimitExceeded> {
        admission.reserve(&start_request(&self.version, since), now)?;
        self.table.begin_prewarm();
        effects.push(Effect::Start(StartReason::Check));
        Ok(())
    }

    /// Begins the starts that provisioned concurrency lacks, as far as admission lets them.
    pub fn start_provisioned(&mut self, admission: &mut Admission, now: Instant, effects: &mut Vec<Effect>) {
        for _ in 0..self.provisioning.missing(self.table.open() + self.table.starts(), now) {
            let failing = self.backoff.in_the_way(now, self.table.starts()).is_some();
            if self.table.phase() != Phase::Open || failing {
                return;
            }
            if let Err(limit) = admission.reserve_ahead(&start_request(&self.version, now), now) {
                return self.provisioning.failed(format!("concurrency exceeded {limit}"), now);
            }
            self.table.begin_prewarm();
            effects.push(Effect::Start(StartReason::Provisioned));
        }
    }

    /// Begins the starts that the forecast calls for, as far as admission lets them. A request that finds none has a start
    /// of its own.
    pub fn start_forecast(&mut self, admission: &mut Admission, now: Instant, effects: &mut Vec<Effect>) {
        while self.table.missing(self.table.need(now).start) > 0 && self.prewarm_one(admission, now, effects) {}
    }

    /// Begins the start that the request after this one is expected to need.
    pub fn start_next(&mut self, admission: &mut Admission, now: Instant, effects: &mut Vec<Effect>) {
        if self.table.lacks_next(now) {
            self.prewarm_one(admission, now, effects);
        }
    }

    fn prewarm_one(&mut self, admission: &mut Admission, now: Instant, effects: &mut Vec<Effect>) -> bool {
        if self.stopped || self.backoff.in_the_way(now, self.table.starts()).is_some() {
            return false;
        }
        if let Err(limit) = admission.reserve_ahead(&start_request(&self.version, now), now) {
            tracing::debug!(function = %self.version.function.key, %limit, "no room to prewarm an instance");
            return false;
        }
        self.table.begin_prewarm();
        effects.push(Effect::Start(StartReason::Forecast));
        true
    }

    /// Whether its deadline has passed since the pause of its failures: one start is due.
    pub fn backoff_is_over(&self, now: Instant) -> bool {
        self.backoff.is_due(now)
    }

    /// The work of a deadline: ends sessions that are over, and freezes and ends what has been idle for long enough.
    pub fn expire(&mut self, now: Instant, unix_ms: i64, effects: &mut Vec<Effect>) {
        self.update_provisioning(now, unix_ms);
        if let Some(affinity) = &mut self.affinity {
            effects.extend(affinity.expire(now).into_iter().map(Effect::Return));
        }
        let expired = self.table.expire(now, self.provisioning.wanted());
        effects.extend(expired.into_iter().map(|slot| Effect::Stop { slot, hurry: false }));
        let Some(after) = self.freeze_after else { return };
        effects.extend(self.table.freeze(now, after).into_iter().map(|slot| Effect::Freeze { slot }));
        let silent = self.affinity.as_ref().map(Affinity::silent).unwrap_or_default();
        let long = silent.into_iter().filter(|(_, since)| now.saturating_duration_since(*since) >= after);
        effects.extend(long.map(|(slot, _)| Effect::Freeze { slot }));
    }

    /// Whether an instance that was to be frozen is still without requests.
    pub fn may_freeze(&self, slot: SlotIndex) -> bool {
        self.table.is_freezing(slot)
    }

    /// Whether nothing of the version is left and nothing is to come.
    pub fn is_over(&self, now: Instant) -> bool {
        // Its check waits for room, or its failures are remembered.
        let waits = self.table.phase() == Phase::Open && (self.unserved || self.backoff.is_remembered(now));
        !waits
            && self.table.is_empty()
            && self.provisioning.spec().is_none()
            && self.affinity.as_ref().is_none_or(Affinity::is_empty)
            && !self.table.waits_for_calls(now)
    }

    /// Takes no more requests, as nothing of the version is left; what is to be remembered of it.
    pub fn close(&mut self) -> History {
        self.table.close_if_empty();
        self.table.history()
    }

    /// Whether instances are to be started that no request waits for.
    pub fn lacks_prewarmed(&self, now: Instant) -> bool {
        let there = self.table.open() + self.table.starts();
        self.provisioning.missing(there, now) > 0 || self.table.missing(self.table.need(now).start) > 0
    }

    /// When this version is to be looked at next, if nothing happens to it until then. To be asked after [`Self::expire`].
    pub fn next_deadline(&self, now: Instant, unix_ms: i64) -> Option<Instant> {
        let table = self.table.next_change(now, self.freeze_after, self.provisioning.wanted());
        let backoff = self.backoff.next_change(now);
        let wall_clock = self.provisioning.next_action_ms().map(|at_ms| {
            let left = Duration::from_millis(u64::try_from(at_ms.saturating_sub(unix_ms)).unwrap_or(0));
            now + left.min(WALL_CLOCK_TRUST)
        });
        let sessions = self.affinity.as_ref().and_then(|affinity| {
            let silent = self.freeze_after.and_then(|after| {
                affinity.silent().into_values().map(|since| since + after).filter(|at| *at > now).min()
            });
            silent.into_iter().chain(affinity.next_end()).min()
        });
        let lacks = !self.stopped
            && self.table.missing(self.table.need(now).start) > 0
            && self.backoff.in_the_way(now, self.table.starts()).is_none();
        let all = [table, backoff, self.provisioning.next_change(now), wall_clock, sessions, lacks.then_some(now)];
        all.into_iter().flatten().min()
    }

    /// The deadline of a version that was just used, when an earlier one than the one set is needed.
    #[inline]
    pub fn settles(&self, now: Instant) -> Option<Instant> {
        let at = now + self.settle;
        self.deadline.is_none_or(|deadline| at < deadline).then_some(at)
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The deadline was set, or has passed; what it was before.
    pub fn set_deadline(&mut self, at: Option<Instant>) -> Option<Instant> {
        std::mem::replace(&mut self.deadline, at)
    }

    /// What the version's owner wants provisioned from now on.
    pub fn provision(&mut self, spec: Option<&Arc<ProvisionedSpec>>) -> bool {
        self.provisioning.follow(spec)
    }

    /// Whether that is something.
    pub fn is_provisioned(&self) -> bool {
        self.provisioning.spec().is_some()
    }

    /// Finds how many instances are to be kept at this time.
    pub fn update_provisioning(&mut self, now: Instant, unix_ms: i64) {
        let in_use = if self.provisioning.looks_at_use(now) { self.table.take_in_use_peak() } else { 0 };
        self.provisioning.update(now, unix_ms, in_use, self.leases_max);
    }

    /// How far its provisioned instances have come.
    pub fn provisioned(&self) -> ProvisionedState {
        let CatalogVersion { key, function, spec, .. } = &*self.version;
        self.provisioning.state(function.key.clone(), key.version, spec.memory_mb, self.table.open())
    }

    /// Provisioned instances that are wanted now.
    pub fn wanted(&self) -> u32 {
        self.provisioning.wanted()
    }

    /// Whether instances are there that provisioned concurrency does not need.
    pub fn has_spare(&self) -> bool {
        self.table.open() > self.wanted() as usize
    }

    /// Idle instances that may be ended for others, and since when each is idle.
    pub fn spare(&self) -> impl Iterator<Item = (SlotIndex, Instant)> {
        self.table.spare(self.wanted())
    }

    pub fn set_stopped(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// Whether the function's quota is 0.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub fn set_unserved(&mut self, unserved: bool) {
        self.unserved = unserved;
    }

    /// Whether the catalog does not have the version yet: it is not drained for that.
    pub fn is_unserved(&self) -> bool {
        self.unserved
    }

    /// What the version is called across its generations.
    pub fn name(&self) -> (FunctionId, VersionName) {
        (self.version.key.function_id.clone(), self.version.key.version)
    }
}

/// The start of an instance of a version for a request that waits since then.
pub(crate) fn start_request(version: &CatalogVersion, since: Instant) -> StartRequest<'_> {
    let CatalogVersion { key, function, spec, .. } = version;
    StartRequest { version: key, function: &function.key, memory_mb: spec.memory_mb, since }
}
