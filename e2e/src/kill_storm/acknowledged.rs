//! Changes that the platform acknowledged, and changes of unknown outcome at a kill.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

/// The record of a storm.
#[derive(Default)]
pub struct Acknowledged(Mutex<State>);

#[derive(Default)]
pub struct State {
    /// Variable `N` of each function: the acknowledged value, and later attempted values.
    pub values: BTreeMap<String, (u64, BTreeSet<u64>)>,
    /// Published versions of each function.
    pub published: BTreeMap<String, BTreeSet<u64>>,
    /// Functions that are created and deleted.
    pub created: BTreeSet<String>,
    pub deleted: BTreeSet<String>,
    /// Tags that were pushed.
    pub pushed: BTreeSet<String>,
    /// Finished events, whose logs must exist, with the time of their responses.
    pub events: Vec<(String, std::time::Instant)>,
    pub next: u64,
    acknowledged: u64,
    answered: u64,
    wrong: Vec<String>,
}

impl Acknowledged {
    /// Reads or changes the record.
    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock())
    }

    /// A unique number.
    pub fn next(&self) -> u64 {
        self.with(|state| {
            state.next += 1;
            state.next
        })
    }

    /// Records an acknowledged change.
    pub fn done(&self, note: impl FnOnce(&mut State)) {
        self.with(|state| {
            state.acknowledged += 1;
            note(state);
        });
    }

    /// Records a successful call.
    pub fn answered(&self) {
        self.with(|state| state.answered += 1);
    }

    /// Records an unexpected answer.
    pub fn wrong(&self, what: String) {
        self.with(|state| state.wrong.push(what));
    }

    pub fn counts(&self) -> (u64, u64) {
        self.with(|state| (state.acknowledged, state.answered))
    }

    pub fn take_wrong(&self) -> Vec<String> {
        self.with(|state| std::mem::take(&mut state.wrong))
    }
}
