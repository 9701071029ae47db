//! Scope of a pass: functions that changed since the last successful pass, or all functions.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use types::{Catalog, FunctionId, FunctionKey};

/// Scope of a pass for unpinning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All functions.
    All,
    /// These functions, with their keys.
    Functions(HashMap<FunctionId, FunctionKey>),
}

/// Functions that changed since the last successful pass.
#[derive(Debug)]
pub(crate) struct Changed {
    /// Revision of the catalog up to which changes were read.
    seen: u64,
    functions: HashMap<FunctionId, FunctionKey>,
    /// When the next pass over all functions is due, regardless of changes.
    resync_at: Instant,
    resync_interval: Duration,
}

impl Changed {
    /// The state before the first pass, which covers all functions.
    pub(crate) fn new(resync_interval: Duration, now: Instant) -> Self {
        Self { seen: 0, functions: HashMap::new(), resync_at: now, resync_interval }
    }

    /// Reads the catalog's changes. When its history is too short, a pass over all functions is
    /// due.
    pub(crate) fn follow(&mut self, catalog: &Catalog, now: Instant) {
        let seen = std::mem::replace(&mut self.seen, catalog.revision);
        match catalog.changes_since(seen) {
            None => self.resync_at = now,
            Some(sets) => {
                let changes = sets.flat_map(|set| &set.functions);
                self.functions.extend(changes.map(|change| (change.id.clone(), change.key.clone())));
            }
        }
    }

    /// Adds a function with a change that the catalog does not contain.
    pub(crate) fn add(&mut self, id: FunctionId, key: FunctionKey) {
        self.functions.insert(id, key);
    }

    /// Makes the next pass cover all functions.
    pub(crate) fn resync(&mut self, now: Instant) {
        self.resync_at = now;
    }

    /// The scope of a pass now.
    pub(crate) fn scope(&self, now: Instant) -> Scope {
        if now >= self.resync_at { Scope::All } else { Scope::Functions(self.functions.clone()) }
    }

    /// Records a successful pass with this scope.
    pub(crate) fn done(&mut self, scope: &Scope, now: Instant) {
        self.functions.clear();
        if *scope == Scope::All {
            self.resync_at = now + self.resync_interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use types::{ChangeHistory, ChangeSet, FunctionChange, Namespace};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(60);

    fn key(name: &str) -> FunctionKey {
        FunctionKey { namespace: Namespace::default_namespace(), name: name.parse().unwrap() }
    }

    fn id(name: &str) -> FunctionId {
        format!("lam-{name:a<8}").parse().unwrap()
    }

    /// A catalog at `revision` whose newest revisions changed these functions.
    fn catalog(revision: u64, changed: &[&str]) -> Catalog {
        let change = |name: &&str| FunctionChange { key: key(name), id: id(name), unserved: Vec::new() };
        let changes = changed.iter().fold(ChangeHistory::default(), |history, name| {
            history.next(ChangeSet { functions: vec![change(name)], quota: false }, changed.len())
        });
        Catalog { revision, changes, ..Catalog::default() }
    }

    fn functions(names: &[&str]) -> Scope {
        Scope::Functions(names.iter().map(|name| (id(name), key(name))).collect())
    }

    #[test]
    fn a_pass_looks_at_what_changed_since_the_one_before() {
        let mut now = Instant::now();
        let mut changed = Changed::new(INTERVAL, now);
        changed.follow(&catalog(7, &[]), now);
        assert_eq!(changed.scope(now), Scope::All, "the first one");
        changed.done(&Scope::All, now);
        now += Duration::from_secs(1);
        changed.follow(&catalog(9, &["one", "two"]), now);
        changed.add(id("three"), key("three"));
        let scope = changed.scope(now);
        assert_eq!(scope, functions(&["one", "two", "three"]));
        // The pass failed: its functions remain in scope.
        changed.follow(&catalog(10, &["one", "two", "four"]), now);
        assert_eq!(changed.scope(now), functions(&["one", "two", "three", "four"]));
        changed.done(&scope, now);
        assert_eq!(changed.scope(now), functions(&[]));
    }

    #[test]
    fn everything_is_looked_at_from_time_to_time_and_when_changes_are_not_known() {
        let mut now = Instant::now();
        let mut changed = Changed::new(INTERVAL, now);
        changed.done(&Scope::All, now);
        now += Duration::from_secs(59);
        changed.done(&functions(&[]), now);
        assert_eq!(changed.scope(now), functions(&[]));
        now += Duration::from_secs(1);
        assert_eq!(changed.scope(now), Scope::All, "passes over a few put it off no longer");
        changed.done(&Scope::All, now);
        changed.follow(&catalog(500, &["one"]), now);
        assert_eq!(changed.scope(now), Scope::All, "a history of one revision, 499 after the last look");
        changed.done(&Scope::All, now);
        changed.resync(now);
        assert_eq!(changed.scope(now), Scope::All);
    }
}
