//! What waits, counted in memory: bounds at acceptance, and which function has events that are due.
//!
//! One lock, held for a few instructions; nothing is awaited under it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use types::FunctionKey;

use crate::config::Config;
use crate::error::Error;
use crate::policy::concurrency::Concurrency;
use crate::policy::round_robin::RoundRobin;
use crate::sqlite::recover::Waiting;

/// Functions with events, and the signal to the dispatcher.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    /// Something is due sooner, or a run ended.
    pub(crate) changed: Notify,
}

/// What ends of events send, until it is delivered.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    /// How many wait or are on their way; for a moment below zero where one ends before its
    /// acceptance was counted.
    rows: AtomicI64,
    /// Something is due sooner.
    pub(crate) changed: Notify,
}

impl Deliveries {
    /// What an earlier process left.
    pub(crate) fn of(rows: u64) -> Self {
        let deliveries = Self::default();
        deliveries.added(rows);
        deliveries
    }

    /// How many wait or are on their way.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// So many more were committed.
    pub(crate) fn added(&self, rows: u64) {
        self.rows.fetch_add(rows as i64, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// One was removed.
    pub(crate) fn removed(&self) {
        self.rows.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct State {
    functions: HashMap<FunctionKey, Function>,
    /// Functions with something due, in turn.
    ready: RoundRobin<FunctionKey>,
    /// Functions whose next event is due later.
    later: BTreeSet<(i64, FunctionKey)>,
    rows: u64,
    bytes: u64,
    running: usize,
}

#[derive(Debug, Default)]
struct Function {
    rows: u64,
    bytes: u64,
    running: usize,
    concurrency: Concurrency,
    /// None of its events begins before then: there was no room. 0 when it does not wait.
    paused_until_ms: i64,
    next_due_ms: Option<i64>,
    /// It stands in `ready`.
    is_ready: bool,
}

/// Room that an event took before its commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserved(u64);

impl Reserved {
    /// The room of an event of that size that was committed.
    pub(crate) fn of(bytes: u64) -> Self {
        Self(bytes)
    }
}

/// How a run ended, for the concurrency of its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It ended well.
    Used,
    /// It found none.
    Wanting,
    /// It says nothing about room.
    Unknown,
}

/// Claims to make, and when to look again at the latest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dealt {
    pub claims: Vec<(FunctionKey, usize)>,
    pub next_due_ms: Option<i64>,
}

impl Backlog {
    /// What an earlier process left.
    pub(crate) fn load(&self, waiting: Vec<Waiting>) {
        let mut state = self.state.lock();
        for of in waiting {
            state.rows += of.rows;
            state.bytes += of.bytes;
            let function = state.functions.entry(of.function.clone()).or_default();
            (function.rows, function.bytes) = (of.rows, of.bytes);
            state.due(&of.function, of.next_due_ms);
        }
    }

    /// Takes room for an event.
    pub(crate) fn reserve(&self, of: &FunctionKey, bytes: u64, config: &Config) -> Result<Reserved, Error> {
        let mut state = self.state.lock();
        let (rows_now, bytes_now) = state.functions.get(of).map_or((0, 0), |function| (function.rows, function.bytes));
        let bounds = [
            (state.rows + 1, config.rows_max, None, "events", "events.rows_max"),
            (state.bytes + bytes, config.bytes_max, None, "bytes of events", "events.bytes_max"),
            (rows_now + 1, config.function_rows_max, Some(of), "events", "events.function_rows_max"),
            (bytes_now + bytes, config.function_bytes_max, Some(of), "bytes of events", "events.function_bytes_max"),
        ];
        if let Some((_, limit, function, unit, key)) = bounds.into_iter().find(|(wanted, limit, ..)| wanted > limit) {
            let subject = function.map_or("the queue".to_owned(), |of| format!("function {of}"));
            return Err(Error::Full { subject, limit, unit, key });
        }
        state.rows += 1;
        state.bytes += bytes;
        let function = state.functions.entry(of.clone()).or_default();
        function.rows += 1;
        function.bytes += bytes;
        Ok(Reserved(bytes))
    }

    /// Gives the room of an event back: it was not committed, or it has ended.
    pub(crate) fn release(&self, of: &FunctionKey, Reserved(bytes): Reserved) {
        let mut state = self.state.lock();
        state.rows = state.rows.saturating_sub(1);
        state.bytes = state.bytes.saturating_sub(bytes);
        let Some(function) = state.functions.get_mut(of) else { return };
        function.rows = function.rows.saturating_sub(1);
        function.bytes = function.bytes.saturating_sub(bytes);
        state.forget_if_idle(of);
    }

    /// An event waits, and is due then.
    pub(crate) fn waits(&self, of: &FunctionKey, due_ms: i64) {
        self.state.lock().due(of, due_ms);
        self.changed.notify_one();
    }

    /// There was no room for an event of the function: all wait until then, or until one of its
    /// runs has left an instance free.
    pub(crate) fn pause(&self, of: &FunctionKey, until_ms: i64) {
        let mut state = self.state.lock();
        let function = state.functions.entry(of.clone()).or_default();
        function.paused_until_ms = function.paused_until_ms.max(until_ms);
        state.due(of, until_ms);
        self.changed.notify_one();
    }

    /// Deals runs to functions, and counts them as running.
    pub(crate) fn deal(&self, now_ms: i64, config: &Config) -> Dealt {
        let mut state = self.state.lock();
        state.wake(now_ms);
        let slots = config.runs_max.saturating_sub(state.running);
        let State { ready, functions, .. } = &mut *state;
        let wants = |key: &FunctionKey| {
            functions.get(key).filter(|of| of.next_due_ms.is_some_and(|due| due <= now_ms)).map_or(0, |of| {
                of.concurrency.limit(config.function_runs_max).saturating_sub(of.running).min(of.rows as usize)
            })
        };
        let mut left = Vec::new();
        let claims = ready.deal(slots, wants, |key| left.push(key.clone()));
        for key in left {
            if let Some(function) = state.functions.get_mut(&key) {
                function.is_ready = false;
                if let Some(due) = function.next_due_ms.filter(|due| *due > now_ms) {
                    state.later.insert((due, key));
                }
            }
        }
        for (key, runs) in &claims {
            state.running += runs;
            if let Some(function) = state.functions.get_mut(key) {
                function.running += runs;
                // Known again when the claim returns; what is accepted meanwhile sets it too.
                function.next_due_ms = None;
            }
        }
        Dealt { claims, next_due_ms: state.later.first().map(|(due, _)| *due) }
    }

    /// A claim returned: so many of the runs that were dealt did not come about, and the function's
    /// next event is due then.
    pub(crate) fn claimed(&self, of: &FunctionKey, missing: usize, next_due_ms: Option<i64>) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_sub(missing);
        if let Some(function) = state.functions.get_mut(of) {
            function.running = function.running.saturating_sub(missing);
        }
        if let Some(due) = next_due_ms {
            state.due(of, due);
        }
    }

    /// A run ended.
    pub(crate) fn ended(&self, of: &FunctionKey, room: Room, config: &Config) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_sub(1);
        if let Some(function) = state.functions.get_mut(of) {
            function.running = function.running.saturating_sub(1);
            let mut next_due_ms = function.next_due_ms;
            match room {
                Room::Used => {
                    function.concurrency.raise(config.function_runs_max);
                    if std::mem::take(&mut function.paused_until_ms) > 0 {
                        // What is due first is known again when it is claimed.
                        next_due_ms = next_due_ms.map(|_| 0);
                    }
                }
                Room::Wanting => function.concurrency.lower(),
                Room::Unknown => {}
            }
            if let Some(due) = next_due_ms {
                state.due(of, due);
            }
        }
        state.forget_if_idle(of);
        self.changed.notify_one();
    }

    /// Events that wait or run, of all functions or of one.
    pub(crate) fn rows(&self, of: Option<&FunctionKey>) -> u64 {
        let state = self.state.lock();
        of.map_or(state.rows, |key| state.functions.get(key).map_or(0, |function| function.rows))
    }
}

impl State {
    /// Notes when the next event of a function is due, and puts it where it will be seen then.
    fn due(&mut self, of: &FunctionKey, due_ms: i64) {
        let function = self.functions.entry(of.clone()).or_default();
        let due_ms = function.next_due_ms.map_or(due_ms, |known| known.min(due_ms)).max(function.paused_until_ms);
        if let Some(known) = function.next_due_ms.replace(due_ms) {
            self.later.remove(&(known, of.clone()));
        }
        if !function.is_ready {
            self.later.insert((due_ms, of.clone()));
        }
    }

    /// Moves functions whose events have become due among the ready ones.
    fn wake(&mut self, now_ms: i64) {
        while let Some((due, key)) = self.later.pop_first() {
            if due > now_ms {
                self.later.insert((due, key));
                break;
            }
            if let Some(function) = self.functions.get_mut(&key)
                && !function.is_ready
            {
                function.is_ready = true;
                self.ready.push(key);
            }
        }
    }

    /// A function without events takes no memory.
    fn forget_if_idle(&mut self, of: &FunctionKey) {
        let idle = self
            .functions
            .get(of)
            .is_some_and(|function| function.rows == 0 && function.running == 0 && !function.is_ready);
        if idle
            && let Some(function) = self.functions.remove(of)
            && let Some(due) = function.next_due_ms
        {
            self.later.remove(&(due, of.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> FunctionKey {
        FunctionKey { namespace: "default".parse().unwrap(), name: "full".parse().unwrap() }
    }

    fn waiting(events: u64) -> Backlog {
        let backlog = Backlog::default();
        for _ in 0..events {
            backlog.reserve(&key(), 1, &Config::default()).unwrap();
            backlog.waits(&key(), 0);
        }
        backlog
    }

    fn dealt(backlog: &Backlog, now_ms: i64) -> usize {
        backlog.deal(now_ms, &Config::default()).claims.into_iter().map(|(_, runs)| runs).sum()
    }

    #[test]
    fn after_one_event_found_no_room_the_others_wait_with_it() {
        let (backlog, config) = (waiting(20), Config::default());
        assert_eq!(dealt(&backlog, 10), 8);
        backlog.claimed(&key(), 0, Some(0));
        for _ in 0..8 {
            backlog.pause(&key(), 1_000);
            backlog.ended(&key(), Room::Wanting, &config);
            assert_eq!(dealt(&backlog, 10), 0);
        }
        backlog.reserve(&key(), 1, &config).unwrap();
        backlog.waits(&key(), 11);
        let dealt_later = backlog.deal(999, &config);
        assert_eq!((dealt_later.claims, dealt_later.next_due_ms), (Vec::new(), Some(1_000)), "a new one waits too");
        assert_eq!(dealt(&backlog, 1_000), 1, "one tries whether there is room");
    }

    #[test]
    fn a_run_that_ended_well_leaves_room_for_those_that_wait() {
        let (backlog, config) = (waiting(20), Config::default());
        assert_eq!(dealt(&backlog, 10), 8);
        backlog.claimed(&key(), 0, Some(0));
        backlog.pause(&key(), 1_000);
        backlog.ended(&key(), Room::Wanting, &config);
        assert_eq!(dealt(&backlog, 20), 0);
        for _ in 0..7 {
            backlog.ended(&key(), Room::Used, &config);
        }
        assert!(dealt(&backlog, 20) > 0);
    }
}
