//! The state of one version at one generation: takes events and `now`, returns effects.
//!
//! Pure. Instances and requests are ids; admission, which all versions share, is passed in where a
//! start needs it. The driver performs the effects, in their order and without holding a lock.

mod deadline;
mod effect;
mod starts;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use types::{CatalogVersion, FunctionId, FunctionKey, ProvisionedSpec, SessionSpec, VersionKey, VersionName};

pub(crate) use self::effect::{Acquired, Effect, InTheWay, Refused, StartReason};
use crate::config::Config;
use crate::error::LeaseError;
use crate::policy::affinity::{Affinity, SessionId};
use crate::policy::backoff::Backoff;
use crate::policy::instance_table::{Age, GiveUp, InstanceTable, Phase, Released, SlotIndex};
use crate::policy::provisioning::Provisioning;
use crate::policy::queue::WaiterId;
use crate::session_key::SessionKey;
use crate::usage::ProvisionedState;

/// The tag of functions whose idle instances are not frozen. Tags belong to a function and are set
/// when it is created; the API has no field of its own for this.
const FREEZE_OFF: (&str, &str) = ("sampan:freeze", "off");

/// The facts about a version that the state needs.
#[derive(Debug, Clone)]
pub(crate) struct VersionFacts {
    pub version: VersionKey,
    pub function: FunctionKey,
    pub memory_mb: u32,
    /// Leases that an instance may have at once. A session holds one for all its requests.
    pub leases_max: u32,
    /// The session affinity of the version, if it has any.
    pub session: Option<SessionSpec>,
    /// Whether idle instances may be frozen.
    pub may_freeze: bool,
    /// Whether each instance serves one request, as those of a job image do.
    pub one_shot: bool,
}

impl VersionFacts {
    pub fn of(catalog: &CatalogVersion) -> Self {
        let CatalogVersion { key, function, spec, .. } = catalog;
        let session = spec.session(function.kind);
        Self {
            version: key.clone(),
            function: function.key.clone(),
            memory_mb: spec.memory_mb,
            leases_max: session.map_or_else(|| spec.max_concurrency(function.kind), |session| session.per_instance_max),
            session: session.cloned(),
            may_freeze: !function.tags.iter().any(|(key, value)| (key.as_str(), value.as_str()) == FREEZE_OFF),
            one_shot: spec.image.is_job(),
        }
    }
}

/// The state; see the module.
pub(crate) struct VersionState {
    facts: VersionFacts,
    pub table: InstanceTable,
    pub affinity: Option<Affinity>,
    provisioning: Provisioning,
    backoff: Backoff,
    /// `None` when idle instances are not frozen.
    freeze_after: Option<Duration>,
    /// The shortest time in which a version that was just used can have due work.
    use_delay: Duration,
    /// The deadline that is set.
    deadline: Option<Instant>,
    /// Whether the function's quota is 0.
    stopped: bool,
    /// Whether the catalog does not have it yet: its start check is in progress.
    unserved: bool,
    /// Number of restarts.
    restarts: u64,
}

impl VersionState {
    pub fn new(facts: VersionFacts, config: &Config) -> Self {
        let affinity = facts.session.as_ref().map(Affinity::new);
        let freeze_after = config.freeze_after().filter(|_| facts.may_freeze);
        let policy = config.keep_alive_policy();
        let shortest = [freeze_after, affinity.as_ref().map(Affinity::shortest), Some(policy.keep_min)];
        Self {
            table: InstanceTable::new(facts.leases_max, policy).one_shot(facts.one_shot),
            facts,
            affinity,
            provisioning: Provisioning::new(config.start_pauses()),
            backoff: Backoff::new(config.start_pauses()),
            freeze_after,
            use_delay: shortest.into_iter().flatten().min().unwrap_or_default(),
            deadline: None,
            stopped: false,
            unserved: false,
            restarts: 0,
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

    /// Returns a lease that was out for `out`; `announced` when its return was announced before.
    /// With `yields`, the instance makes room for a request that has waited longer than this
    /// version's own requests.
    pub fn release(
        &mut self,
        slot: SlotIndex,
        announced: bool,
        out: Duration,
        yields: bool,
        now: Instant,
    ) -> Option<Effect> {
        if yields || self.facts.one_shot {
            // It has this lease, so it does not end before the lease is back.
            self.table.retire(slot);
        }
        match self.table.release(slot, announced, out, now) {
            Released::Serve(waiter) => Some(Effect::Serve { waiter, slot }),
            Released::Stop => Some(Effect::Stop { slot, capped: yields }),
            Released::Gone => Some(Effect::Forget { slot }),
            Released::Kept => None,
        }
    }

    /// Queues a request at the end.
    pub fn wait(&mut self, now: Instant) -> WaiterId {
        self.table.wait(now)
    }

    /// Removes a waiting request; returns whether the remaining ones need a start.
    pub fn leave_queue(&mut self, waiter: WaiterId, now: Instant) -> bool {
        self.table.cancel(waiter);
        self.table.starts_wanted(now) > 0
    }

    /// Takes a request off the queue unless a start or lease is on its way for it.
    pub fn give_up(&mut self, waiter: WaiterId) -> GiveUp {
        self.table.give_up(waiter)
    }

    /// The session of a key, or a new one, with this request counted; and the slot that it has.
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
                // An ending instance takes no more requests of the session.
                if slot.is_none_or(|slot| self.table.takes_requests(slot)) {
                    affinity.enter(id);
                    return Some((id, slot));
                }
            }
            effects.extend(affinity.forget_key(key).map(Effect::Return));
        }
        Some((affinity.begin(key, now), None))
    }

    /// Assigns a slot to a session.
    pub fn assign_session(&mut self, id: SessionId, slot: SlotIndex, now: Instant) {
        if let Some(affinity) = &mut self.affinity {
            affinity.assign(id, slot, now);
        }
    }

    /// Removes an answered request from its session.
    pub fn leave_session(&mut self, id: SessionId, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(affinity) = &mut self.affinity {
            effects.extend(affinity.leave(id, now).map(Effect::Return));
        }
    }

    /// Unmaps the session's key.
    pub fn forget_session(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        if let Some(affinity) = &mut self.affinity {
            effects.extend(affinity.forget(id).map(Effect::Return));
        }
    }

    /// Number of restarts, which a start records when it begins.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The age of a start that was begun after this many restarts.
    pub fn age(&self, restarts: u64) -> Age {
        if restarts == self.restarts { Age::Current } else { Age::Outdated }
    }

    /// Records that a start has an instance; returns its slot.
    pub fn started(
        &mut self,
        reason: StartReason,
        age: Age,
        took: Duration,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> SlotIndex {
        let started = self.table.started(reason.waiter(), age, took, now);
        let slot = started.slot;
        effects.extend(started.granted.into_iter().map(|waiter| Effect::Serve { waiter, slot }));
        if started.end {
            effects.push(Effect::Stop { slot, capped: false });
        }
        slot
    }

    /// Records a successful start; returns whether failures preceded it, so that starts were begun
    /// one at a time until now.
    pub fn recovered(&mut self, reason: StartReason) -> bool {
        let recovered = self.backoff.succeeded();
        if recovered || reason == StartReason::Provisioned {
            self.provisioning.succeeded();
        }
        recovered
    }

    /// Records that a start begun at `begun` failed.
    pub fn start_failed(
        &mut self,
        (reason, age): (StartReason, Age),
        error: &LeaseError,
        begun: Instant,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if let LeaseError::Launch(error) = error
            && age == Age::Current
        {
            self.backoff.failed(error, begun, now);
        }
        match reason {
            StartReason::Request(waiter) => {
                let failed = self.table.start_failed(waiter, age);
                effects.extend(failed.into_iter().map(|waiter| Effect::Refuse { waiter, error: error.clone() }));
            }
            StartReason::Provisioned => {
                self.table.prewarm_failed(age);
                match self.backoff.in_the_way(now, 0) {
                    Some(_) => self.provisioning.start_failed(error.to_string()),
                    None => self.provisioning.failed(error.to_string(), now),
                }
            }
            StartReason::Check => self.table.prewarm_failed(age),
            StartReason::Forecast => self.table.forecast_failed(age),
        }
    }

    /// Records that an instance has ended, by itself or by the driver.
    pub fn ended(&mut self, slot: SlotIndex, effects: &mut Vec<Effect>) {
        if self.table.ended(slot) {
            effects.push(Effect::Forget { slot });
        }
    }

    /// Gives an instance no new leases; it ends when the last one returns.
    pub fn retire(&mut self, slot: SlotIndex, effects: &mut Vec<Effect>) {
        if self.table.retire(slot) {
            effects.push(Effect::Stop { slot, capped: false });
        }
    }

    /// Gives no instance that exists or is being started any later request: others replace them, as
    /// requests and provisioned concurrency need.
    pub fn restart(&mut self, effects: &mut Vec<Effect>) {
        self.restarts += 1;
        let idle = self.table.restart();
        if let Some(affinity) = &mut self.affinity {
            effects.extend(affinity.clear().into_iter().map(Effect::Return));
        }
        effects.extend(idle.into_iter().map(|slot| Effect::Stop { slot, capped: false }));
    }

    /// Ends an instance if it is still idle.
    pub fn evict(&mut self, slot: SlotIndex, capped: bool, effects: &mut Vec<Effect>) {
        if self.table.evict(slot) {
            effects.push(Effect::Stop { slot, capped });
        }
    }

    /// Takes no more requests: waiting ones are refused with `error`, and instances end when their
    /// leases return. False when it was drained before.
    pub fn drain(&mut self, error: &LeaseError, effects: &mut Vec<Effect>) -> bool {
        if self.table.phase() != Phase::Open {
            return false;
        }
        let (idle, waiters) = self.table.drain();
        if let Some(affinity) = &mut self.affinity {
            effects.extend(affinity.clear().into_iter().map(Effect::Return));
        }
        effects.extend(idle.into_iter().map(|slot| Effect::Stop { slot, capped: false }));
        effects.extend(waiters.into_iter().map(|waiter| Effect::Refuse { waiter, error: error.clone() }));
        true
    }

    /// Whether an instance marked for freezing is still without requests.
    pub fn may_freeze(&self, slot: SlotIndex) -> bool {
        self.table.is_freezing(slot)
    }

    /// Sets the provisioned concurrency that the owner wants.
    pub fn provision(&mut self, spec: Option<&Arc<ProvisionedSpec>>) -> bool {
        self.provisioning.follow(spec)
    }

    /// Whether the owner wants any.
    pub fn is_provisioned(&self) -> bool {
        self.provisioning.spec().is_some()
    }

    /// Updates the number of provisioned instances for this time.
    pub fn update_provisioning(&mut self, now: Instant, unix_ms: i64) {
        let in_use = if self.provisioning.looks_at_use(now) { self.table.take_in_use_peak() } else { 0 };
        self.provisioning.update(now, unix_ms, in_use, self.facts.leases_max);
    }

    /// Progress of the provisioned instances.
    pub fn provisioned(&self) -> ProvisionedState {
        let VersionFacts { version, function, memory_mb, .. } = &self.facts;
        self.provisioning.state(function.clone(), version.version, *memory_mb, self.table.open())
    }

    /// Provisioned instances that are wanted now.
    pub fn wanted(&self) -> u32 {
        self.provisioning.wanted()
    }

    /// Whether instances exist that provisioned concurrency does not need.
    pub fn has_spare(&self) -> bool {
        self.table.open() > self.wanted() as usize
    }

    /// Idle instances that may be evicted, and since when each is idle.
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

    pub fn facts(&self) -> &VersionFacts {
        &self.facts
    }

    /// The identity of the version across its generations.
    pub fn name(&self) -> (FunctionId, VersionName) {
        (self.facts.version.function_id.clone(), self.facts.version.version)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
