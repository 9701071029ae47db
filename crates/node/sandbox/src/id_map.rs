//! Mapping of ids inside an instance to host ids. Pure.
//!
//! An instance has a range of host ids, for ids from 0 inside. A user above them, such as OpenShift
//! assigns to each project, takes the place of the last one, to which image preparation folds the
//! owners of files above them (`FOLDED_ID`): these files belong to it then.

use sys::namespace::IdRange;
use types::limits::FOLDED_ID;

/// The map of users, or of groups, of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMap {
    first: u32,
    count: u32,
    /// The id inside that takes the place of the last one.
    large: Option<u32>,
}

impl IdMap {
    /// The map of `count` host ids from `first` on, with room for the id `used` inside.
    pub fn new(first: u32, count: u32, used: u32) -> Self {
        let last = last(count);
        Self { first, count, large: (used > last).then_some(used) }
    }

    /// The identity map: ids inside are those of the host.
    pub fn of_host() -> Self {
        Self { first: 0, count: u32::MAX, large: None }
    }

    /// How owners in prepared images become ids of the host when the id `used` is one of these
    /// itself; `None` where they are the same.
    pub fn unfolded(used: u32) -> Option<Vec<IdRange>> {
        let below = IdRange { inside: 0, outside: 0, count: FOLDED_ID };
        (used > FOLDED_ID).then(|| vec![below, IdRange { inside: FOLDED_ID, outside: used, count: 1 }])
    }

    /// Whether the map is the same for every instance with these host ids.
    pub fn is_plain(&self) -> bool {
        self.large.is_none()
    }

    /// Maps an id inside to its host id.
    pub fn host_id(&self, id: u32) -> u32 {
        if self.large == Some(id) { self.first + last(self.count) } else { self.first + id }
    }

    /// The ranges of a user namespace's map.
    pub fn ranges(&self) -> Vec<IdRange> {
        let Self { first, count, large } = *self;
        let Some(large) = large else { return vec![IdRange { inside: 0, outside: first, count }] };
        let last = last(count);
        let below = IdRange { inside: 0, outside: first, count: last };
        vec![below, IdRange { inside: large, outside: first + last, count: 1 }]
    }
}

fn last(count: u32) -> u32 {
    FOLDED_ID.min(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_id_takes_the_place_of_the_last() {
        let range = |inside, outside, count| IdRange { inside, outside, count };
        for (count, used, ranges) in [
            (65_536, 0, vec![range(0, 1_000_000, 65_536)]),
            (65_536, 65_535, vec![range(0, 1_000_000, 65_536)]),
            (65_536, 65_536, vec![range(0, 1_000_000, 65_535), range(65_536, 1_065_535, 1)]),
            (65_536, 1_000_660_000, vec![range(0, 1_000_000, 65_535), range(1_000_660_000, 1_065_535, 1)]),
            (100_000, 70_000, vec![range(0, 1_000_000, 65_535), range(70_000, 1_065_535, 1)]),
            (1000, 65_534, vec![range(0, 1_000_000, 999), range(65_534, 1_000_999, 1)]),
        ] {
            let map = IdMap::new(1_000_000, count, used);
            assert_eq!((map.ranges(), map.is_plain()), (ranges.clone(), ranges.len() == 1), "{count} {used}");
            let last = ranges.last().expect("one at least");
            assert_eq!(map.host_id(used), last.outside + (used - last.inside));
            assert_eq!(map.host_id(7), 1_000_007);
        }
        assert_eq!(IdMap::unfolded(65_535), None);
        assert_eq!(IdMap::unfolded(70_000), Some(vec![range(0, 0, 65_535), range(65_535, 70_000, 1)]));
        assert_eq!(IdMap::of_host().host_id(1_000_660_000), 1_000_660_000);
    }
}
