//! Changes of the catalog's newest revisions, so that a reader handles only changed functions. The
//! history is bounded: a reader that is too far behind has to read all functions.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::ids::{FunctionId, FunctionKey, VersionKey};

/// Changes of one revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// Functions whose entry was replaced or removed.
    pub functions: Vec<FunctionChange>,
    /// Whether the installation's quota changed.
    pub quota: bool,
}

/// A function whose entry was replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionChange {
    /// Its key, which a later function may reuse.
    pub key: FunctionKey,
    /// Its id.
    pub id: FunctionId,
    /// Versions, with their generation, that are no longer callable.
    pub unserved: Vec<VersionKey>,
}

/// The change sets of a catalog's newest revisions, one per revision; the last one is that of the
/// catalog itself.
#[derive(Debug, Clone, Default)]
pub struct ChangeHistory(VecDeque<Arc<ChangeSet>>);

impl ChangeHistory {
    /// The history of the next revision; keeps at most the newest `sets_max`.
    pub fn next(&self, set: ChangeSet, sets_max: usize) -> Self {
        let kept = sets_max.saturating_sub(1);
        let newest = self.0.iter().skip(self.0.len().saturating_sub(kept)).cloned();
        Self(newest.chain(std::iter::once(Arc::new(set))).collect())
    }

    /// The change sets after revision `seen` of a catalog at `revision`, oldest first; `None` when
    /// the history is too short.
    pub(crate) fn since(&self, seen: u64, revision: u64) -> Option<impl Iterator<Item = &ChangeSet>> {
        let missed = usize::try_from(revision.checked_sub(seen)?).ok()?;
        let from = self.0.len().checked_sub(missed)?;
        Some(self.0.range(from..).map(AsRef::as_ref))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str) -> ChangeSet {
        let key = FunctionKey {
            namespace: crate::ids::Namespace::default_namespace(),
            name: name.parse().expect("a valid name"),
        };
        ChangeSet {
            functions: vec![FunctionChange { key, id: FunctionId::random(), unserved: Vec::new() }],
            quota: false,
        }
    }

    #[test]
    fn a_reader_gets_what_it_missed_or_nothing_when_that_is_not_known() {
        let sets = ["one", "two", "three"].map(set);
        let mut history = ChangeHistory::default();
        for set in &sets {
            history = history.next(set.clone(), 2);
        }
        // The catalog began at revision 1 and is at 4.
        let since = |seen| history.since(seen, 4).map(|sets| sets.cloned().collect::<Vec<_>>());
        assert_eq!(since(4), Some(Vec::new()));
        assert_eq!(since(3), Some(sets[2..].to_vec()));
        assert_eq!(since(2), Some(sets[1..].to_vec()));
        assert_eq!(since(1), None, "the set of revision 2 was let go");
        assert_eq!(since(5), None, "of another catalog");
        assert_eq!(ChangeHistory::default().since(0, 1).map(Iterator::count), None);
    }
}
