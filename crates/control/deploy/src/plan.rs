//! Decides the actions of a pass. Pure: no I/O, no clock.

use std::collections::HashSet;

use types::{FunctionId, VersionKey, VersionName};

use crate::owner;

/// The observed state.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Versions that await a preparation, longest waiting first.
    pub(crate) pending: Vec<VersionKey>,
    /// Functions that are being deleted.
    pub(crate) deleting: Vec<FunctionId>,
    /// Serving versions.
    pub(crate) serving: Vec<VersionKey>,
    /// Preparations that run, or whose outcome the store has not recorded yet.
    pub(crate) busy: Vec<VersionKey>,
    /// Number of these that have their image and run the start check.
    pub(crate) checking: usize,
    /// Owners of versions' pins.
    pub(crate) pinned: Vec<String>,
    /// Whether only owners of deleted functions are unpinned, as for a time after a start.
    pub(crate) keep_all: bool,
    /// Images that may be prepared concurrently.
    pub(crate) parallel_max: usize,
}

/// The actions of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Preparations that the store no longer awaits.
    pub(crate) cancel: Vec<VersionKey>,
    /// Preparations to begin.
    pub(crate) start: Vec<VersionKey>,
    /// Owners whose pins are no longer needed.
    pub(crate) unpin: Vec<String>,
    /// Deleted functions without remaining state after `unpin`.
    pub(crate) finish: Vec<FunctionId>,
}

/// Computes the plan. Each version has one preparation at a time: a newer change waits for the end
/// of the previous one. While a version is being published, nothing of its function is unpinned:
/// until the published version has its own pin, its image has only the pin of the `$LATEST` that
/// was published, and `$LATEST` may have changed since. A version that is missing in the store may
/// still exist: the database may be an older one, which is about to be replaced.
pub(crate) fn plan(view: &View) -> Plan {
    let pending: HashSet<&VersionKey> = view.pending.iter().collect();
    let busy_versions: HashSet<_> = view.busy.iter().map(|key| (&key.function_id, key.version)).collect();
    let busy_functions: HashSet<_> = view.busy.iter().map(|key| &key.function_id).collect();
    let free = view.parallel_max.saturating_sub(view.busy.len().saturating_sub(view.checking));
    let startable = view.pending.iter().filter(|key| !busy_versions.contains(&(&key.function_id, key.version)));
    let needed: HashSet<String> = view.serving.iter().chain(&view.pending).chain(&view.busy).map(owner::of).collect();
    let published = view.pending.iter().filter(|key| key.version != VersionName::Latest);
    let publishing: HashSet<String> = published.map(|key| owner::of_function(&key.function_id)).collect();
    let deleting: HashSet<&FunctionId> = view.deleting.iter().collect();
    let is_deleted = |owner: &String| owner::function_of(owner).is_some_and(|id| deleting.contains(&id));
    let held = |owner: &String| {
        (view.keep_all && !is_deleted(owner)) || publishing.iter().any(|function| owner.starts_with(function))
    };
    Plan {
        cancel: view.busy.iter().filter(|key| !pending.contains(key)).cloned().collect(),
        start: startable.take(free).cloned().collect(),
        unpin: view.pinned.iter().filter(|owner| !needed.contains(*owner) && !held(owner)).cloned().collect(),
        finish: view.deleting.iter().filter(|id| !busy_functions.contains(id)).cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: char) -> FunctionId {
        format!("lam-{}", String::from(name).repeat(8)).parse().unwrap()
    }

    fn key(name: char, generation: u64) -> VersionKey {
        VersionKey { function_id: id(name), version: VersionName::Latest, generation }
    }

    fn view(pending: &[VersionKey], busy: &[VersionKey], serving: &[VersionKey]) -> View {
        let (pending, busy, serving) = (pending.to_vec(), busy.to_vec(), serving.to_vec());
        View { pending, busy, serving, parallel_max: 2, ..View::default() }
    }

    #[test]
    fn the_longest_waiting_are_started_as_far_as_there_is_room() {
        let pending = [key('a', 1), key('b', 1), key('c', 1), key('d', 1)];
        assert_eq!(plan(&view(&pending, &[], &[])).start, pending[..2]);
        assert_eq!(plan(&view(&pending, &pending[..1], &[])).start, pending[1..2]);
        assert_eq!(plan(&view(&pending, &pending[..2], &[])), Plan::default());
    }

    #[test]
    fn a_start_check_makes_way_for_the_next_image() {
        let pending = [key('a', 1), key('b', 1), key('c', 1), key('d', 1)];
        let busy = view(&pending, &pending[..2], &[]);
        assert_eq!(plan(&View { checking: 1, ..busy.clone() }).start, pending[2..3]);
        assert_eq!(plan(&View { checking: 2, ..busy }).start, pending[2..]);
    }

    #[test]
    fn a_newer_change_cancels_and_waits_for_the_end() {
        let newer = [key('a', 2)];
        let waiting = plan(&view(&newer, &[key('a', 1)], &[]));
        assert_eq!((waiting.cancel.as_slice(), waiting.start.len()), (&[key('a', 1)][..], 0));
        assert_eq!(plan(&view(&newer, &[], &[])).start, newer);
    }

    #[test]
    fn only_what_is_served_pending_or_busy_stays_pinned() {
        let stays = [key('a', 2), key('a', 3), key('b', 1), key('c', 4)];
        let goes = [key('a', 1), key('c', 3), key('d', 1)];
        let pinned = stays.iter().chain(&goes).map(owner::of).collect();
        let view = View { pinned, ..view(&[key('a', 3)], &[key('b', 1)], &[key('a', 2), key('c', 4)]) };
        assert_eq!(plan(&view).unpin, goes.iter().map(owner::of).collect::<Vec<_>>());
    }

    #[test]
    fn soon_after_a_start_only_deletions_release() {
        let pinned = vec![owner::of(&key('a', 1)), owner::of(&key('b', 1)), owner::of(&key('c', 1))];
        let now = View { pinned: pinned.clone(), deleting: vec![id('a')], ..view(&[], &[], &[key('b', 2)]) };
        assert_eq!(plan(&View { keep_all: true, ..now.clone() }).unpin, pinned[..1]);
        assert_eq!(plan(&now).unpin, pinned);
    }

    #[test]
    fn nothing_of_a_function_is_released_while_a_version_is_being_published() {
        let one = VersionKey { version: VersionName::Number(1), ..key('a', 1) };
        let pinned = vec![owner::of(&key('a', 1)), owner::of(&key('b', 1))];
        let serving = [key('a', 2), one.clone(), key('b', 2)];
        let before = View { pinned: pinned.clone(), ..view(std::slice::from_ref(&one), &[], &serving) };
        assert_eq!(plan(&before).unpin, [owner::of(&key('b', 1))]);
        assert_eq!(plan(&View { pinned: pinned.clone(), ..view(&[], &[], &serving) }).unpin, pinned);
    }

    #[test]
    fn a_deletion_ends_after_its_preparation() {
        let deleting = vec![id('a'), id('b')];
        let busy = View { deleting: deleting.clone(), ..view(&[], &[key('a', 1)], &[]) };
        let planned = plan(&busy);
        assert_eq!((planned.cancel, planned.finish), (vec![key('a', 1)], vec![id('b')]));
        assert_eq!(plan(&View { deleting: deleting.clone(), ..view(&[], &[], &[]) }).finish, deleting);
    }
}
