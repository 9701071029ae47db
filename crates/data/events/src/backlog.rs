//! In-memory counts of waiting events: limits at acceptance, and which function has events that are
//! due.
//!
//! One lock, held for a few instructions; nothing is awaited under it.

mod lanes;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use types::{FunctionKey, TriggerId};

use self::lanes::Lanes;
use crate::config::Config;
use crate::error::Error;
use crate::policy::concurrency::Concurrency;
use crate::policy::round_robin::RoundRobin;
use crate::sqlite::recover::Waiting;

/// Functions with events, and the signal to the dispatcher.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    /// Signalled when an event is due sooner, or a run ended.
    pub(crate) changed: Notify,
}

/// Pending deliveries of ended events.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    /// How many wait or are being sent; briefly negative where one ends before its acceptance was
    /// counted.
    rows: AtomicI64,
    /// Signalled when a delivery is due sooner.
    pub(crate) changed: Notify,
}

impl Deliveries {
    /// Starts with the deliveries of an earlier process.
    pub(crate) fn of(rows: u64) -> Self {
        let deliveries = Self::default();
        deliveries.added(rows);
        deliveries
    }

    /// How many wait or are being sent.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed).max(0).unsigned_abs()
    }

    /// Counts committed deliveries.
    pub(crate) fn added(&self, rows: u64) {
        self.rows.fetch_add(rows as i64, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Counts a removed one.
    pub(crate) fn removed(&self) {
        self.rows.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct State {
    functions: HashMap<FunctionKey, Function>,
    /// Functions with due events, in round-robin order.
    ready: RoundRobin<FunctionKey>,
    /// Functions whose next event is due later.
    later: BTreeSet<(i64, FunctionKey)>,
    /// Functions whose due events exceed the concurrency of their triggers.
    held: HashSet<FunctionKey>,
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
    /// End of the pause after a run found no room; 0 without a pause.
    paused_until_ms: i64,
    lanes: Lanes,
    /// When the next event is due that its trigger and the pause allow to run.
    next_due_ms: Option<i64>,
    /// Whether it is in `ready`.
    is_ready: bool,
}

/// Room that an event reserved before its commit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserved(u64);

impl Reserved {
    /// The room of a committed event of that size.
    pub(crate) fn of(bytes: u64) -> Self {
        Self(bytes)
    }
}

/// Effect of a run's end on the concurrency of its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It succeeded.
    Used,
    /// It found no room.
    Wanting,
    /// It gives no information about room.
    Unknown,
}

/// Claims to make, and when to run next at the latest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dealt {
    pub claims: Vec<Deal>,
    pub next_due_ms: Option<i64>,
}

/// Runs of a function's events of one trigger, or of none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Deal {
    pub function: FunctionKey,
    pub trigger: Option<TriggerId>,
    pub runs: usize,
}

impl Backlog {
    /// Loads the events of an earlier process.
    pub(crate) fn load(&self, waiting: Vec<Waiting>) {
        let mut state = self.state.lock();
        for of in waiting {
            state.rows += of.rows;
            state.bytes += of.bytes;
            let function = state.functions.entry(of.function.clone()).or_default();
            function.rows += of.rows;
            function.bytes += of.bytes;
            state.due(&of.function, of.trigger.as_ref(), of.next_due_ms);
        }
    }

    /// Reserves room for an event.
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

    /// Releases the room of an event that was not committed, or that has ended.
    pub(crate) fn release(&self, of: &FunctionKey, Reserved(bytes): Reserved) {
        let mut state = self.state.lock();
        state.rows = state.rows.saturating_sub(1);
        state.bytes = state.bytes.saturating_sub(bytes);
        let Some(function) = state.functions.get_mut(of) else { return };
        function.rows = function.rows.saturating_sub(1);
        function.bytes = function.bytes.saturating_sub(bytes);
        state.forget_if_idle(of);
    }

    /// Records that an event waits and when it is due.
    pub(crate) fn waits(&self, of: &FunctionKey, trigger: Option<&TriggerId>, due_ms: i64) {
        self.state.lock().due(of, trigger, due_ms);
        self.changed.notify_one();
    }

    /// Records that there was no room for an event of the function: all wait until then, or until
    /// one of its runs has released an instance.
    pub(crate) fn pause(&self, of: &FunctionKey, until_ms: i64) {
        let mut state = self.state.lock();
        let function = state.functions.entry(of.clone()).or_default();
        function.paused_until_ms = function.paused_until_ms.max(until_ms);
        state.reschedule(of);
        self.changed.notify_one();
    }

    /// Deals runs to functions, and counts them as running; `limit` is how many events of a trigger
    /// may run at once.
    pub(crate) fn deal(
        &self,
        now_ms: i64,
        config: &Config,
        limit: impl Fn(&FunctionKey, &TriggerId) -> Option<usize>,
    ) -> Dealt {
        let mut state = self.state.lock();
        state.look_at_held(now_ms, &limit);
        state.wake(now_ms);
        let slots = config.runs_max.saturating_sub(state.running);
        let State { ready, functions, .. } = &mut *state;
        let wants = |key: &FunctionKey| {
            functions.get(key).filter(|of| of.next_due_ms.is_some_and(|due| due <= now_ms)).map_or(0, |of| {
                let room = of.concurrency.limit(config.function_runs_max).saturating_sub(of.running);
                room.min(of.rows as usize).min(of.lanes.room(now_ms, |trigger| limit(key, trigger)))
            })
        };
        let mut left = Vec::new();
        let dealt = ready.deal(slots, wants, |key| left.push(key.clone()));
        let claims = dealt.into_iter().flat_map(|(key, runs)| state.count(key, runs, now_ms, &limit)).collect();
        left.into_iter().for_each(|key| state.leave(key, now_ms, &limit));
        Dealt { claims, next_due_ms: state.later.first().map(|(due, _)| *due) }
    }

    /// Records that a claim returned: this many of the dealt runs found no event, and when the next
    /// event of that trigger, or of none, is due.
    pub(crate) fn claimed(
        &self,
        of: &FunctionKey,
        trigger: Option<&TriggerId>,
        missing: usize,
        next_due_ms: Option<i64>,
    ) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_sub(missing);
        if let Some(function) = state.functions.get_mut(of) {
            function.running = function.running.saturating_sub(missing);
            if let Some(due) = next_due_ms {
                function.lanes.due(trigger, due);
            }
            function.lanes.ended(trigger, missing);
        }
        state.reschedule(of);
    }

    /// Records that a run ended.
    pub(crate) fn ended(&self, of: &FunctionKey, trigger: Option<&TriggerId>, room: Room, config: &Config) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_sub(1);
        if let Some(function) = state.functions.get_mut(of) {
            function.running = function.running.saturating_sub(1);
            function.lanes.ended(trigger, 1);
            match room {
                Room::Used => {
                    function.concurrency.raise(config.function_runs_max);
                    function.paused_until_ms = 0;
                }
                Room::Wanting => function.concurrency.lower(),
                Room::Unknown => {}
            }
        }
        state.reschedule(of);
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
    /// Records when an event of a function is due.
    fn due(&mut self, of: &FunctionKey, trigger: Option<&TriggerId>, due_ms: i64) {
        self.functions.entry(of.clone()).or_default().lanes.due(trigger, due_ms);
        self.reschedule(of);
    }

    /// Moves a function to the set that matches when its next runnable event is due.
    fn reschedule(&mut self, of: &FunctionKey) {
        let Some(function) = self.functions.get_mut(of) else { return };
        let next = function.lanes.next_due_ms().map(|due| due.max(function.paused_until_ms));
        if let Some(known) = std::mem::replace(&mut function.next_due_ms, next) {
            self.later.remove(&(known, of.clone()));
        }
        if let Some(due) = next.filter(|_| !function.is_ready) {
            self.later.insert((due, of.clone()));
        }
    }

    /// Re-evaluates held functions: the concurrency of triggers may have been raised since.
    fn look_at_held(&mut self, now_ms: i64, limit: &impl Fn(&FunctionKey, &TriggerId) -> Option<usize>) {
        let held: Vec<FunctionKey> = self.held.iter().cloned().collect();
        for key in held {
            let function = self.functions.get_mut(&key);
            if !function.is_some_and(|of| of.lanes.look(now_ms, |trigger| limit(&key, trigger))) {
                self.held.remove(&key);
            }
            self.reschedule(&key);
        }
    }

    /// Counts runs that were dealt to a function, by trigger.
    fn count(
        &mut self,
        key: FunctionKey,
        runs: usize,
        now_ms: i64,
        limit: &impl Fn(&FunctionKey, &TriggerId) -> Option<usize>,
    ) -> Vec<Deal> {
        let Some(function) = self.functions.get_mut(&key) else { return Vec::new() };
        let dealt = function.lanes.deal(runs, now_ms, |trigger| limit(&key, trigger));
        let runs: usize = dealt.iter().map(|(_, runs)| runs).sum();
        function.running += runs;
        self.running += runs;
        self.reschedule(&key);
        dealt.into_iter().map(|(trigger, runs)| Deal { function: key.clone(), trigger, runs }).collect()
    }

    /// Takes a function out of the order: it has nothing due, or no room until one of its runs
    /// ends.
    fn leave(&mut self, key: FunctionKey, now_ms: i64, limit: &impl Fn(&FunctionKey, &TriggerId) -> Option<usize>) {
        let Some(function) = self.functions.get_mut(&key) else { return };
        function.is_ready = false;
        let is_held = function.lanes.look(now_ms, |trigger| limit(&key, trigger));
        function.next_due_ms = function.lanes.next_due_ms().map(|due| due.max(function.paused_until_ms));
        if let Some(due) = function.next_due_ms.filter(|due| *due > now_ms) {
            self.later.insert((due, key.clone()));
        }
        if is_held {
            self.held.insert(key);
        }
    }

    /// Moves functions whose events have become due to the ready ones.
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

    /// Removes a function without events.
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
        if idle {
            self.held.remove(of);
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
            backlog.waits(&key(), None, 0);
        }
        backlog
    }

    fn dealt(backlog: &Backlog, now_ms: i64) -> usize {
        backlog.deal(now_ms, &Config::default(), |_, _| None).claims.into_iter().map(|deal| deal.runs).sum()
    }

    #[test]
    fn after_one_event_found_no_room_the_others_wait_with_it() {
        let (backlog, config) = (waiting(20), Config::default());
        assert_eq!(dealt(&backlog, 10), 8);
        backlog.claimed(&key(), None, 0, Some(0));
        for _ in 0..8 {
            backlog.pause(&key(), 1_000);
            backlog.ended(&key(), None, Room::Wanting, &config);
            assert_eq!(dealt(&backlog, 10), 0);
        }
        backlog.reserve(&key(), 1, &config).unwrap();
        backlog.waits(&key(), None, 11);
        let dealt_later = backlog.deal(999, &config, |_, _| None);
        assert_eq!((dealt_later.claims, dealt_later.next_due_ms), (Vec::new(), Some(1_000)), "a new one waits too");
        assert_eq!(dealt(&backlog, 1_000), 1, "one tries whether there is room");
    }

    #[test]
    fn a_run_that_ended_well_leaves_room_for_those_that_wait() {
        let (backlog, config) = (waiting(20), Config::default());
        assert_eq!(dealt(&backlog, 10), 8);
        backlog.claimed(&key(), None, 0, Some(0));
        backlog.pause(&key(), 1_000);
        backlog.ended(&key(), None, Room::Wanting, &config);
        assert_eq!(dealt(&backlog, 20), 0);
        for _ in 0..7 {
            backlog.ended(&key(), None, Room::Used, &config);
        }
        assert!(dealt(&backlog, 20) > 0);
    }
}
