//! What the platform acknowledged, and what it may or may not have done when it was killed.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

/// The record of a storm.
#[derive(Default)]
pub struct Acknowledged(Mutex<State>);

#[derive(Default)]
pub struct State {
    /// The value of the variable `N` of each function: acknowledged, and tried later.
    pub values: BTreeMap<String, (u64, BTreeSet<u64>)>,
    /// Versions published of each function.
    pub published: BTreeMap<String, BTreeSet<u64>>,
    /// Functions that come and go.
    pub created: BTreeSet<String>,
    pub deleted: BTreeSet<String>,
    /// Tags that were pushed.
    pub pushed: BTreeSet<String>,
    /// Events that ended, whose logs must be there; the time is that of the answer.
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

    /// A number that was not given before.
    pub fn next(&self) -> u64 {
        self.with(|state| {
            state.next += 1;
            state.next
        })
    }

    /// Notes a change that was acknowledged.
    pub fn done(&self, note: impl FnOnce(&mut State)) {
        self.with(|state| {
            state.acknowledged += 1;
            note(state);
        });
    }

    /// Notes a good answer.
    pub fn answered(&self) {
        self.with(|state| state.answered += 1);
    }

    /// Notes an answer that nothing explains.
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
