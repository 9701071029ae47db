//! Where the records of one request lie in the segments. Pure.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A place in the log: a segment and an offset in its text before compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// A stretch of one segment that holds records of a request, and perhaps of others too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u64, u64, u64)", from = "(u64, u64, u64)")]
pub(crate) struct Extent {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl From<Extent> for (u64, u64, u64) {
    fn from(e: Extent) -> Self {
        (e.segment, e.offset, e.len)
    }
}

impl From<(u64, u64, u64)> for Extent {
    fn from((segment, offset, len): (u64, u64, u64)) -> Self {
        Self { segment, offset, len }
    }
}

impl Extent {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.len)
    }
}

/// Shorter gaps are covered by one extent.
const GAP_BYTES_MAX: u64 = 4 << 10;
/// Number of extents from which neighbours in one segment are merged across any gap.
const EXTENTS_MAX: usize = 16;

/// All extents of one request, in the order written. Most requests have one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<Extent>", from = "Vec<Extent>")]
pub(crate) struct Extents(SmallVec<[Extent; 1]>);

impl From<Extents> for Vec<Extent> {
    fn from(extents: Extents) -> Self {
        extents.0.into_vec()
    }
}

impl From<Vec<Extent>> for Extents {
    fn from(extents: Vec<Extent>) -> Self {
        Self(extents.into())
    }
}

impl Extents {
    /// Adds a record of `len` bytes; records are added in the order in which they were written.
    pub(crate) fn add(&mut self, at: Position, len: u64) {
        let full = self.0.len() >= EXTENTS_MAX;
        if let Some(last) = self.0.last_mut().filter(|last| last.segment == at.segment && last.offset <= at.offset)
            && (full || at.offset <= last.end().saturating_add(GAP_BYTES_MAX))
        {
            last.len = last.len.max(at.offset + len - last.offset);
            return;
        }
        self.0.push(Extent { segment: at.segment, offset: at.offset, len });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Extent> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(segment: u64, offset: u64) -> Position {
        Position { segment, offset }
    }

    #[test]
    fn neighbours_join_and_far_ones_do_not() {
        let mut extents = Extents::default();
        extents.add(at(1, 0), 100);
        extents.add(at(1, 100), 50);
        extents.add(at(1, 1_000), 50);
        extents.add(at(1, 100_000), 50);
        extents.add(at(2, 0), 10);
        assert_eq!(extents.0.as_slice(), [(1, 0, 1_050).into(), (1, 100_000, 50).into(), (2, 0, 10).into()]);
    }

    proptest! {
        #[test]
        fn every_record_is_covered_and_the_list_is_bounded(steps in prop::collection::vec((0u64..20_000, 1u64..300, 0u32..40), 1..200)) {
            let (mut extents, mut position, mut records) = (Extents::default(), at(1, 0), Vec::new());
            for (gap, len, rotate) in steps {
                position.offset += gap;
                if rotate == 0 {
                    position = at(position.segment + 1, 0);
                }
                extents.add(position, len);
                records.push((position, len));
                position.offset += len;
            }
            for (p, len) in records {
                prop_assert!(extents.iter().any(|e| e.segment == p.segment && e.offset <= p.offset && p.offset + len <= e.end()));
            }
            let segments = usize::try_from(position.segment).expect("small");
            prop_assert!(extents.0.len() <= EXTENTS_MAX + segments);
        }
    }
}
