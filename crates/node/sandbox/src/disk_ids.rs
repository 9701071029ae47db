//! Mapping of owners on disk to ids of an instance, and the user namespaces that the kernel maps
//! mounts by.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use sys::Stack;
use sys::namespace::{IdRange, UserNamespace};

use crate::config::Config;
use crate::error::Error;
use crate::rlimits;

/// Recent mappings that are remembered, so that prewarming a range of ids can make their namespaces
/// too.
const RECENT_MAX: usize = 4;
/// Namespaces kept with a range of ids.
const KEPT_MAX: usize = 8;

/// Mapping of ids on disk to those of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskIds {
    /// Mapping of users.
    pub users: Mapped,
    /// Mapping of groups.
    pub groups: Mapped,
}

/// Mapping of users or of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapped {
    /// Host id of the instance's own user, counted from the instance's first.
    pub own: u32,
    /// The id on disk that corresponds to it.
    pub disk: u32,
}

impl Mapped {
    /// The map of a range of `count` host ids from `first` on. The first id on disk is the
    /// instance's own user; the following are its other ids, with root in the place of that user.
    fn ranges(self, first: u32, count: u32) -> Vec<IdRange> {
        let Self { own, disk } = self;
        let count = count.min(u32::MAX - disk);
        let range = |inside, outside, count| IdRange { inside, outside, count };
        if own == 0 {
            return vec![range(disk, first, count)];
        }
        if own >= count {
            return vec![range(disk, first + own, 1), range(disk + 1, first, count - 1)];
        }
        let parts = [
            range(disk, first + own, 1),
            range(disk + 1, first + 1, own - 1),
            range(disk + own, first, 1),
            range(disk + own + 1, first + own + 1, count - own - 1),
        ];
        parts.into_iter().filter(|part| part.count > 0).collect()
    }
}

impl DiskIds {
    /// Creates the user namespace that a mount is mapped by, for the instance with host ids from
    /// `first` on.
    fn namespace(self, first: u32, config: &Config, stack: &mut Stack) -> Result<Arc<OwnedFd>, Error> {
        let count = config.ids_per_instance.min(types::limits::FOLDED_ID + 1);
        let (users, groups) = (self.users.ranges(first, count), self.groups.ranges(first, count));
        let limits = &rlimits::of_users(config);
        let made = UserNamespace { owner: first, users: &users, groups: &groups, limits }.make(stack);
        made.map(Arc::new).map_err(|source| Error::Namespace { kind: "user", source })
    }
}

/// A mapping for the instance with host ids from the second field on, and its namespace.
type KeptMap = ((DiskIds, u32), Arc<OwnedFd>);

/// Namespaces by which mounts of one range of ids are mapped.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Vec<KeptMap>>);

impl Kept {
    /// Returns the namespace of a mapping, creating it if it does not exist.
    pub fn of(&self, ids: DiskIds, first: u32, config: &Config, stack: &mut Stack) -> Result<Arc<OwnedFd>, Error> {
        let mut kept = self.0.lock();
        if let Some((_, namespace)) = kept.iter().find(|(of, _)| *of == (ids, first)) {
            return Ok(namespace.clone());
        }
        let made = ids.namespace(first, config, stack)?;
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push(((ids, first), made.clone()));
        Ok(made)
    }
}

/// Mappings that recent starts used.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<DiskIds>>);

impl Recent {
    /// Records the use of a mapping.
    pub fn saw(&self, ids: DiskIds) {
        let mut recent = self.0.lock();
        if recent.contains(&ids) {
            return;
        }
        recent.push_back(ids);
        if recent.len() > RECENT_MAX {
            recent.pop_front();
        }
    }

    /// All recent mappings.
    pub fn all(&self) -> Vec<DiskIds> {
        self.0.lock().iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Maps an id on disk to its host id.
    fn host(ranges: &[IdRange], disk: u32) -> Option<u32> {
        let within = |range: &&IdRange| (range.inside..range.inside + range.count).contains(&disk);
        ranges.iter().find(within).map(|range| range.outside + (disk - range.inside))
    }

    #[test]
    fn the_instances_user_is_the_first_on_disk_and_root_takes_its_place() {
        for (own, disk) in
            [(0, 10_000), (1, 10_000), (33, 10_000), (65_535, 10_000), (1000, 1), (1_000_660_000, 10_000)]
        {
            let ranges = Mapped { own, disk }.ranges(1_000_000, 65_536);
            assert_eq!(host(&ranges, disk), Some(1_000_000 + own), "{own}");
            assert_eq!(host(&ranges, 0), None, "root on disk is nobody's");
            let mut hosts: Vec<u32> = (disk..disk + 65_536).filter_map(|id| host(&ranges, id)).collect();
            hosts.sort_unstable();
            hosts.dedup();
            assert_eq!(hosts.len(), 65_536, "no two on disk are one inside: {own}");
            assert!(ranges.iter().all(|range| range.count > 0), "the kernel refuses empty ranges");
            let other = if own == 7 { 8 } else { 7 };
            if own < 65_536 {
                assert_eq!(host(&ranges, disk + other), Some(1_000_000 + other), "{own}");
                assert!(own == 0 || host(&ranges, disk + own) == Some(1_000_000), "{own}");
            }
        }
        let ranges = Mapped { own: 0, disk: u32::MAX - 10 }.ranges(1_000_000, 65_536);
        assert_eq!(ranges, [IdRange { inside: u32::MAX - 10, outside: 1_000_000, count: 10 }]);
    }
}
