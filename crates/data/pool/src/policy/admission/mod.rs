//! Admission of starts: usage of the installation's quota and of each function's limits, and the
//! requests that wait for room.
//!
//! An instance that ends counts as used until it has ended, because its memory is. A request that
//! is refused for lack of shared room has a claim from then on: released room is reserved for the
//! oldest claims, so later requests cannot overtake it, however many there are.

mod fairness;
pub(crate) mod limit;
pub(crate) mod quota;
mod start_rate;

use std::collections::HashMap;

use tokio::time::Instant;
use types::{FunctionId, FunctionKey, VersionKey};

use self::fairness::Claim;
pub(crate) use self::fairness::Scope;
use self::limit::LimitExceeded;
use self::quota::Quota;
use self::start_rate::StartRate;
use crate::config::Config;
use crate::usage::{FunctionUsage, Usage};

/// Instances and their memory sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub instances: u32,
    pub memory_mb: u64,
}

impl Load {
    pub fn one(memory_mb: u32) -> Self {
        Self { instances: 1, memory_mb: u64::from(memory_mb) }
    }

    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    pub fn add(&mut self, other: Self) {
        self.instances += other.instances;
        self.memory_mb += other.memory_mb;
    }

    pub fn take(&mut self, other: Self) {
        self.instances -= other.instances;
        self.memory_mb -= other.memory_mb;
    }

    pub fn less(self, other: Self) -> Self {
        Self {
            instances: self.instances.saturating_sub(other.instances),
            memory_mb: self.memory_mb.saturating_sub(other.memory_mb),
        }
    }
}

/// A start to be admitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StartRequest<'a> {
    pub version: &'a VersionKey,
    pub function: &'a FunctionKey,
    pub memory_mb: u32,
    /// When the request that needs it began to wait.
    pub since: Instant,
}

#[derive(Debug)]
pub(crate) struct Share {
    key: FunctionKey,
    pub used: Load,
    pub ending: Load,
    waiting: u32,
}

/// Usage above a quota that was lowered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QuotaExcess {
    /// How much, not counting what is ending already, in MB.
    pub memory_mb: u64,
    /// The function, or `None` for all without a quota of their own.
    pub function: Option<FunctionId>,
}

/// Current usage; see the module.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(super) instances_max: u32,
    pub(super) instances_per_function_max: u32,
    waiting_per_function_max: u32,
    /// 0 for no limit.
    memory_mb_configured: u64,
    pub(super) quota: Quota,
    pub(super) used: Load,
    pub(super) ending: Load,
    /// Memory of functions without a quota of their own.
    pub(super) unreserved_mb: u64,
    pub(super) unreserved_ending_mb: u64,
    pub(super) functions: HashMap<FunctionId, Share>,
    starts: StartRate,
    provisioned_starts: StartRate,
    /// The oldest first; one for each version.
    pub(super) claims: Vec<Claim>,
}

impl Admission {
    pub fn new(config: &Config) -> Self {
        Self {
            instances_max: config.instances_max,
            instances_per_function_max: config.instances_per_function_max,
            waiting_per_function_max: config.waiting_per_function_max,
            memory_mb_configured: config.memory_mb_max,
            quota: Quota::new(config.memory_mb_max, HashMap::new()).beside(config.set_aside.clone()),
            used: Load::default(),
            ending: Load::default(),
            unreserved_mb: 0,
            unreserved_ending_mb: 0,
            functions: HashMap::new(),
            starts: StartRate::new(config.starts_per_minute_max, config.starts_share_percent_max),
            provisioned_starts: StartRate::new(
                config.provisioned_starts_per_minute_max,
                config.starts_share_percent_max,
            ),
            claims: Vec::new(),
        }
    }

    /// Sets the quota. Running instances continue, even above it.
    pub fn set_quota(&mut self, quota: Quota) {
        self.quota = quota;
        let shared = || self.functions.iter().filter(|(id, _)| self.quota.reserved(id).is_none());
        self.unreserved_mb = shared().map(|(_, share)| share.used.memory_mb).sum();
        self.unreserved_ending_mb = shared().map(|(_, share)| share.ending.memory_mb).sum();
    }

    fn share(&mut self, id: &FunctionId, key: &FunctionKey) -> &mut Share {
        self.functions.entry(id.clone()).or_insert_with(|| Share {
            key: key.clone(),
            used: Load::default(),
            ending: Load::default(),
            waiting: 0,
        })
    }

    fn forget_unused(&mut self, id: &FunctionId) {
        if self.functions.get(id).is_some_and(|share| share.used.is_zero() && share.waiting == 0) {
            self.functions.remove(id);
        }
    }

    pub fn used_by(&self, id: &FunctionId) -> Load {
        self.functions.get(id).map_or_else(Load::default, |share| share.used)
    }

    /// Takes room for one instance. A version that is refused should [`Admission::claim`] when it
    /// waits.
    pub fn reserve(&mut self, want: &StartRequest<'_>, now: Instant) -> Result<(), LimitExceeded> {
        if let Some(limit) = self.in_the_way(want, now) {
            return Err(limit);
        }
        let need = Load::one(want.memory_mb);
        self.used.add(need);
        self.share(&want.version.function_id, want.function).used.add(need);
        if self.quota.reserved(&want.version.function_id).is_none() {
            self.unreserved_mb += need.memory_mb;
        }
        self.starts.take(&want.version.function_id, now);
        Ok(())
    }

    /// Takes room for an instance that no request waits for; waiting requests have precedence.
    pub fn reserve_ahead(&mut self, want: &StartRequest<'_>, now: Instant) -> Result<(), LimitExceeded> {
        let id = &want.version.function_id;
        if let Some(limit) = self.provisioned_starts.in_the_way(id, std::iter::empty(), now) {
            return Err(limit);
        }
        self.reserve(want, now)?;
        self.provisioned_starts.take(id, now);
        Ok(())
    }

    fn in_the_way(&mut self, want: &StartRequest<'_>, now: Instant) -> Option<LimitExceeded> {
        let id = &want.version.function_id;
        let (own, need) = (self.used_by(id), u64::from(want.memory_mb));
        let reserved = self.quota.reserved(id);
        if let Some(max_mb) = reserved
            && own.memory_mb + need > max_mb
        {
            return Some(LimitExceeded::Reserved { max_mb });
        }
        if own.instances >= self.instances_per_function_max {
            return Some(LimitExceeded::FunctionInstances { max: self.instances_per_function_max });
        }
        let (older, older_unreserved_mb) = self.older(want.version, want.since);
        if self.used.instances + older.instances >= self.instances_max {
            return Some(LimitExceeded::Instances { max: self.instances_max });
        }
        let unreserved_max = self.quota.unreserved_mb();
        if reserved.is_none() && (self.unreserved_mb + older_unreserved_mb).saturating_add(need) > unreserved_max {
            return Some(LimitExceeded::Memory { max_mb: unreserved_max });
        }
        if (self.used.memory_mb + older.memory_mb).saturating_add(need) > self.quota.total_mb() {
            return Some(LimitExceeded::Memory { max_mb: self.quota.total_mb() });
        }
        let earlier =
            |claim: &&Claim| claim.limit.is_of_starts() && claim.since < want.since && claim.version != *want.version;
        let earlier = self.claims.iter().filter(earlier).map(|claim| &claim.version.function_id);
        self.starts.in_the_way(id, earlier, now)
    }

    /// Counts an instance as ending.
    pub fn ending(&mut self, id: &FunctionId, memory_mb: u32) {
        let load = Load::one(memory_mb);
        self.ending.add(load);
        if self.quota.reserved(id).is_none() {
            self.unreserved_ending_mb += load.memory_mb;
        }
        if let Some(share) = self.functions.get_mut(id) {
            share.ending.add(load);
        }
    }

    /// Releases the room of an instance that ended or whose start failed; `told` when
    /// [`Admission::ending`] was called for it.
    pub fn release(&mut self, id: &FunctionId, memory_mb: u32, told: bool) {
        let load = Load::one(memory_mb);
        let ending = if told { load } else { Load::default() };
        self.used.take(load);
        self.ending.take(ending);
        if self.quota.reserved(id).is_none() {
            self.unreserved_mb -= load.memory_mb;
            self.unreserved_ending_mb -= ending.memory_mb;
        }
        if let Some(share) = self.functions.get_mut(id) {
            share.used.take(load);
            share.ending.take(ending);
        }
        self.forget_unused(id);
    }

    /// Counts a waiting request; fails with the limit when the maximum waits already.
    pub fn begin_wait(&mut self, id: &FunctionId, key: &FunctionKey) -> Result<(), u32> {
        let max = self.waiting_per_function_max;
        let share = self.share(id, key);
        let fits = share.waiting < max;
        if fits {
            share.waiting += 1;
        }
        self.forget_unused(id);
        if fits { Ok(()) } else { Err(max) }
    }

    /// Counts a waiting request as gone.
    pub fn end_wait(&mut self, id: &FunctionId) {
        if let Some(share) = self.functions.get_mut(id) {
            share.waiting -= 1;
        }
        self.forget_unused(id);
    }

    /// The function's own quota, when it has one.
    pub fn reserved_mb(&self, id: &FunctionId) -> Option<u64> {
        self.quota.reserved(id)
    }

    /// Whether the function has a quota of its own.
    pub fn is_reserved(&self, id: &FunctionId) -> bool {
        self.reserved_mb(id).is_some()
    }

    /// Whether an instance would fit if all others ended.
    pub fn can_ever_fit(&self, id: &FunctionId, memory_mb: u32) -> bool {
        let reserved = self.quota.reserved(id);
        let most = reserved.unwrap_or_else(|| self.quota.unreserved_mb()).min(self.quota.total_mb());
        u64::from(memory_mb) <= most && self.instances_max > 0 && self.instances_per_function_max > 0
    }

    /// Whether its own quota is 0, which stops the function.
    pub fn is_stopped(&self, id: &FunctionId) -> bool {
        self.quota.reserved(id) == Some(0)
    }

    /// Usage above quotas that were lowered, without what is ending.
    pub fn excesses(&self) -> Vec<QuotaExcess> {
        let shared = self.unreserved_mb.saturating_sub(self.unreserved_ending_mb);
        let shared = QuotaExcess { memory_mb: shared.saturating_sub(self.quota.unreserved_mb()), function: None };
        let own = self.quota.reservations().filter_map(|(id, max_mb)| {
            let share = self.functions.get(id)?;
            let memory_mb = share.used.less(share.ending).memory_mb.saturating_sub(max_mb);
            Some(QuotaExcess { memory_mb, function: Some(id.clone()) })
        });
        std::iter::once(shared).chain(own).filter(|excess| excess.memory_mb > 0).collect()
    }

    /// Current usage.
    pub fn usage(&self) -> Usage {
        let mut functions: Vec<FunctionUsage> = self
            .functions
            .values()
            .map(|share| FunctionUsage {
                function: share.key.clone(),
                instances: share.used.instances,
                memory_mb: share.used.memory_mb,
                waiting: share.waiting,
            })
            .collect();
        functions.sort_by(|a, b| a.function.cmp(&b.function));
        let total_mb = self.quota.total_mb();
        Usage {
            instances: self.used.instances,
            memory_mb: self.used.memory_mb,
            memory_mb_max: if total_mb == u64::MAX { 0 } else { total_mb },
            memory_mb_configured: self.memory_mb_configured,
            reserved_mb: self.quota.reserved_mb(),
            functions,
            provisioned: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
