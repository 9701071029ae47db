//! Memory quotas (contract 4.8): the installation's, and the parts reserved for single functions.

use std::collections::HashMap;

use types::{Catalog, FunctionId};

use crate::config::Config;
use crate::set_aside::SetAside;

/// The quota of the installation and its parts, in MB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    /// `u64::MAX` when there is no limit.
    total_mb: u64,
    reserved: HashMap<FunctionId, u64>,
    reserved_mb: u64,
    set_aside: SetAside,
}

impl Quota {
    /// `total_mb` is the quota set by the owner of the installation, else by the configuration; 0
    /// is no limit.
    pub fn new(total_mb: u64, reserved: HashMap<FunctionId, u64>) -> Self {
        let reserved_mb = reserved.values().fold(0, |sum: u64, mb| sum.saturating_add(*mb));
        Self {
            total_mb: if total_mb == 0 { u64::MAX } else { total_mb },
            reserved,
            reserved_mb,
            set_aside: SetAside::default(),
        }
    }

    /// The same quota less the memory that is set aside.
    #[must_use]
    pub fn beside(self, set_aside: SetAside) -> Self {
        Self { set_aside, ..self }
    }

    pub fn of(catalog: &Catalog, config: &Config) -> Self {
        let reserved = catalog
            .functions
            .values()
            .filter_map(|function| Some((function.record.id.clone(), function.reserved_mb?)))
            .collect();
        // A machine that has since reported less memory gives no more than that.
        let configured = if config.memory_mb_max == 0 { u64::MAX } else { config.memory_mb_max };
        let total_mb = catalog.quota_mb.map_or(config.memory_mb_max, |mb| mb.min(configured));
        Self::new(total_mb, reserved).beside(config.set_aside.clone())
    }

    pub fn total_mb(&self) -> u64 {
        if self.total_mb == u64::MAX { u64::MAX } else { self.total_mb.saturating_sub(self.set_aside.mb()) }
    }

    /// The memory that is reserved for this function, which is also its maximum.
    pub fn reserved(&self, id: &FunctionId) -> Option<u64> {
        self.reserved.get(id).copied()
    }

    pub fn reserved_mb(&self) -> u64 {
        self.reserved_mb
    }

    /// The memory shared by functions without a reservation.
    pub fn unreserved_mb(&self) -> u64 {
        if self.total_mb == u64::MAX { u64::MAX } else { self.total_mb().saturating_sub(self.reserved_mb) }
    }

    /// Functions that have a reservation.
    pub fn reservations(&self) -> impl Iterator<Item = (&FunctionId, u64)> {
        self.reserved.iter().map(|(id, mb)| (id, *mb))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(total_mb: u64, reserved: &[(&str, u64)]) -> Quota {
        Quota::new(total_mb, reserved.iter().map(|(id, mb)| (id.parse().expect("valid"), *mb)).collect())
    }

    #[test]
    fn others_share_what_nobody_has_reserved() {
        let quota = quota(1000, &[("lam-00000001", 300), ("lam-00000002", 0)]);
        assert_eq!((quota.unreserved_mb(), quota.reserved_mb()), (700, 300));
        let of = |id: &str| quota.reserved(&id.parse().expect("valid"));
        assert_eq!((of("lam-00000001"), of("lam-00000002"), of("lam-00000003")), (Some(300), Some(0), None));
    }

    #[test]
    fn what_others_have_of_the_memory_is_not_for_instances() {
        let set_aside = SetAside::default();
        let quota = quota(1000, &[("lam-00000001", 300)]).beside(set_aside.clone());
        assert_eq!((quota.total_mb(), quota.unreserved_mb()), (1000, 700));
        set_aside.set(400);
        assert_eq!((quota.total_mb(), quota.unreserved_mb()), (600, 300));
        set_aside.set(2000);
        assert_eq!((quota.total_mb(), quota.unreserved_mb()), (0, 0));
        let without = Quota::new(0, HashMap::new()).beside(set_aside);
        assert_eq!(without.total_mb(), u64::MAX);
    }

    #[test]
    fn without_a_limit_the_share_has_none_either_and_too_much_reserved_leaves_nothing() {
        assert_eq!(quota(0, &[("lam-00000001", 300)]).unreserved_mb(), u64::MAX);
        assert_eq!(quota(200, &[("lam-00000001", 300)]).unreserved_mb(), 0);
    }
}
