//! Fairness between functions: claims of versions that wait for room, and which other functions
//! yield to them.

use tokio::time::Instant;
use types::{FunctionId, VersionKey};

use super::limit::LimitExceeded;
use crate::policy::admission::{Admission, Load, Share, StartRequest};

/// A version that was refused a start and waits; it comes before those refused later.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub version: VersionKey,
    pub memory_mb: u32,
    pub since: Instant,
    pub limit: LimitExceeded,
}

/// The functions whose instances can make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Only the function's own.
    Own,
    /// Those of functions without a quota of their own.
    Unreserved,
    /// Those of all functions.
    Any,
}

/// The room that must come free before a start fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shortfall {
    /// How much, in addition to what is ending already.
    pub load: Load,
    /// The functions that it concerns.
    pub scope: Scope,
}

impl Admission {
    /// The room that older claims need of the shared quota, and of the unreserved memory.
    pub(super) fn older(&self, version: &VersionKey, since: Instant) -> (Load, u64) {
        let (mut all, mut unreserved_mb) = (Load::default(), 0);
        for claim in &self.claims {
            if claim.since >= since || claim.version == *version || !claim.limit.is_shared() {
                continue;
            }
            let need = Load::one(claim.memory_mb);
            all.add(need);
            if self.quota.reserved(&claim.version.function_id).is_none() {
                unreserved_mb += need.memory_mb;
            }
        }
        (all, unreserved_mb)
    }

    /// The room that must come free, in addition to what is ending already and is not for older
    /// claims, before this start fits.
    pub fn shortfall(&self, version: &VersionKey, memory_mb: u32, since: Instant) -> Shortfall {
        let id = &version.function_id;
        let need = Load::one(memory_mb);
        let (own, ending) = self.functions.get(id).map_or_else(Default::default, |share| (share.used, share.ending));
        let mut after = own;
        after.add(need);
        let ceiling =
            Load { instances: self.instances_per_function_max, memory_mb: self.quota.reserved(id).unwrap_or(u64::MAX) };
        let own_over = after.less(ending).less(ceiling);
        if !own_over.is_zero() {
            return Shortfall { load: own_over, scope: Scope::Own };
        }
        let (older, older_unreserved_mb) = self.older(version, since);
        let mut after = self.used;
        after.add(need);
        after.add(older);
        let over =
            after.less(self.ending).less(Load { instances: self.instances_max, memory_mb: self.quota.total_mb() });
        let shared_over_mb = if self.quota.reserved(id).is_none() {
            (self.unreserved_mb + older_unreserved_mb + need.memory_mb)
                .saturating_sub(self.unreserved_ending_mb)
                .saturating_sub(self.quota.unreserved_mb())
        } else {
            0
        };
        let memory_mb = over.memory_mb.max(shared_over_mb);
        let scope = if memory_mb > 0 { Scope::Unreserved } else { Scope::Any };
        Shortfall { load: Load { instances: over.instances, memory_mb }, scope }
    }

    /// Whether a request that was refused a start can expect room: an instance of its own function
    /// that may come free or end, others that end for it, or functions that use more than its own
    /// and have to yield.
    pub fn room_expected(&self, want: &StartRequest<'_>, limit: LimitExceeded) -> bool {
        let id = &want.version.function_id;
        let need = u64::from(want.memory_mb);
        let most = self.quota.reserved(id).unwrap_or_else(|| self.quota.unreserved_mb()).min(self.quota.total_mb());
        if need > most {
            return false;
        }
        let own = self.used_by(id);
        if own.instances > 0
            || self.shortfall(want.version, want.memory_mb, want.since).load.is_zero() && limit.is_shared()
        {
            return true;
        }
        limit.is_shared() && self.functions.iter().any(|(other, share)| self.noisier(other, share, id, own))
    }

    /// Whether `other` has no reservation and uses more memory than `than`, so that it may have to
    /// yield.
    fn noisier(&self, other: &FunctionId, share: &Share, than: &FunctionId, used: Load) -> bool {
        other != than && self.quota.reserved(other).is_none() && share.used.memory_mb > used.memory_mb
    }

    /// Remembers that requests of a version were refused a start and wait.
    pub fn claim(&mut self, want: &StartRequest<'_>, limit: LimitExceeded) {
        self.unclaim(want.version);
        let (version, memory_mb, since) = (want.version.clone(), want.memory_mb, want.since);
        let place = self.claims.partition_point(|claim| claim.since <= since);
        self.claims.insert(place, Claim { version, memory_mb, since, limit });
    }

    /// Removes the version's claim; returns whether it had one.
    pub fn unclaim(&mut self, version: &VersionKey) -> bool {
        let before = self.claims.len();
        self.claims.retain(|claim| claim.version != *version);
        self.claims.len() < before
    }

    /// The versions that have claims, the oldest first.
    pub fn claimants(&self) -> Vec<VersionKey> {
        self.claims.iter().map(|claim| claim.version.clone()).collect()
    }

    /// The number of claims.
    pub fn claims(&self) -> usize {
        self.claims.len()
    }

    /// Whether an instance of `version` that comes free is to end for a claim: a request has waited
    /// longer than the version's own requests (`own_since`, `None` when none waits), and its
    /// function uses less.
    pub fn yields(&self, version: &VersionKey, own_since: Option<Instant>) -> bool {
        let own = self.used_by(&version.function_id);
        self.claims.iter().filter(|claim| claim.version != *version).any(|claim| {
            let older = own_since.is_none_or(|since| claim.since < since);
            let same = claim.version.function_id == version.function_id;
            let fair =
                own_since.is_none() || same || own.memory_mb > self.used_by(&claim.version.function_id).memory_mb;
            older && fair && self.helps(version, claim)
        })
    }

    /// Whether the end of an instance of `version` brings a claim nearer to a start.
    fn helps(&self, version: &VersionKey, claim: &Claim) -> bool {
        let short = self.shortfall(&claim.version, claim.memory_mb, claim.since);
        !short.load.is_zero()
            && match short.scope {
                Scope::Own => claim.version.function_id == version.function_id,
                Scope::Unreserved => self.quota.reserved(&version.function_id).is_none(),
                Scope::Any => true,
            }
    }
}
