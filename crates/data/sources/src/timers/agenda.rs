//! Schedule of timers: a heap over all of them. Pure: time is passed in as `now_ms`.
//!
//! The work of a pass grows with the number of due timers, that of a change with the timers of its
//! function.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use types::{CatalogFunction, EventInvokeConfig, FunctionKey, FunctionRecord, Trigger, TriggerId};

use crate::timer::{KIND, Timer, Times};

/// Stale entries of the heap at which it is rebuilt.
const STALE_MAX: usize = 1024;

/// An event to create.
#[derive(Debug, Clone)]
pub(crate) struct Tick {
    /// The function.
    pub(crate) function: Arc<FunctionRecord>,
    /// How the function's events are retried and given up.
    pub(crate) event_invoke: EventInvokeConfig,
    /// The timer.
    pub(crate) trigger: Arc<Trigger>,
    /// The scheduled time, Unix milliseconds.
    pub(crate) at_ms: i64,
}

/// All timers that are not paused.
pub(crate) struct Agenda {
    timer: Timer,
    /// How long after its time a tick is still created.
    deadline_ms: i64,
    timers: HashMap<TriggerId, Entry>,
    of_function: HashMap<FunctionKey, Vec<TriggerId>>,
    /// Due times; an entry whose number is not its timer's is stale.
    heap: BinaryHeap<Reverse<(i64, u64, TriggerId)>>,
    last_number: u64,
}

struct Entry {
    function: Arc<FunctionRecord>,
    event_invoke: EventInvokeConfig,
    trigger: Arc<Trigger>,
    times: Times,
    number: u64,
}

impl Agenda {
    pub(crate) fn new(timer: Timer, deadline_ms: i64) -> Self {
        Self {
            timer,
            deadline_ms,
            timers: HashMap::new(),
            of_function: HashMap::new(),
            heap: BinaryHeap::new(),
            last_number: 0,
        }
    }

    /// Functions that have timers here.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &FunctionKey> {
        self.of_function.keys()
    }

    /// When the next pass is due, Unix milliseconds.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse((due_ms, ..))| *due_ms)
    }

    /// Updates the timers of a function, or removes them.
    pub(crate) fn set_function(&mut self, key: &FunctionKey, function: Option<&CatalogFunction>, now_ms: i64) {
        let old = self.of_function.remove(key).unwrap_or_default();
        let mut kept = Vec::new();
        if let Some(function) = function {
            for trigger in function.triggers.iter().filter(|trigger| trigger.kind == KIND && trigger.enabled) {
                if self.set_timer(function, trigger, now_ms) {
                    kept.push(trigger.id.clone());
                }
            }
        }
        for id in old.iter().filter(|id| !kept.contains(id)) {
            self.timers.remove(id);
        }
        if !kept.is_empty() {
            self.of_function.insert(key.clone(), kept);
        }
        self.drop_stale();
    }

    /// Adds a timer; returns whether it has times.
    fn set_timer(&mut self, function: &CatalogFunction, trigger: &Arc<Trigger>, now_ms: i64) -> bool {
        if let Some(entry) = self.timers.get_mut(&trigger.id)
            && entry.trigger.since_ms == trigger.since_ms
            && entry.trigger.desc == trigger.desc
        {
            // Another text or another option: its next time is kept, so that none is skipped.
            (entry.function, entry.trigger) = (Arc::clone(&function.record), Arc::clone(trigger));
            entry.event_invoke = function.event_invoke;
            return true;
        }
        let Some(times) = self.timer.times_of(trigger) else {
            let (function, trigger) = (&function.record.key, &trigger.name);
            tracing::error!(%function, trigger, "a timer cannot be read and does not run");
            return false;
        };
        let missed = times.last_until(now_ms).filter(|at_ms| *at_ms > trigger.since_ms && self.in_time(*at_ms, now_ms));
        let due_ms = missed.or_else(|| times.next_after(now_ms));
        let number = self.push(&trigger.id, due_ms);
        let entry = Entry {
            function: Arc::clone(&function.record),
            event_invoke: function.event_invoke,
            trigger: Arc::clone(trigger),
            times,
            number,
        };
        self.timers.insert(trigger.id.clone(), entry);
        true
    }

    /// Takes due timers: for each the latest time that has passed, if it is within the deadline.
    /// Its next time is the first future one.
    pub(crate) fn take_due(&mut self, now_ms: i64) -> Vec<Tick> {
        let mut ticks = Vec::new();
        while let Some(Reverse((due_ms, number, id))) = self.heap.pop() {
            if due_ms > now_ms {
                self.heap.push(Reverse((due_ms, number, id)));
                break;
            }
            let Some(entry) = self.timers.get(&id).filter(|entry| entry.number == number) else { continue };
            let at_ms = entry.times.last_until(now_ms).map_or(due_ms, |last_ms| last_ms.max(due_ms));
            if self.in_time(at_ms, now_ms) {
                let (function, trigger) = (Arc::clone(&entry.function), Arc::clone(&entry.trigger));
                ticks.push(Tick { function, event_invoke: entry.event_invoke, trigger, at_ms });
            }
            let next_ms = entry.times.next_after(now_ms);
            let number = self.push(&id, next_ms);
            if let Some(entry) = self.timers.get_mut(&id) {
                entry.number = number;
            }
        }
        ticks
    }

    /// Handles a clock that was set back: every timer's next time is the first one by the new
    /// clock.
    pub(crate) fn restart_from(&mut self, now_ms: i64) {
        self.heap.clear();
        let next: Vec<_> = self.timers.iter().map(|(id, entry)| (id.clone(), entry.times.next_after(now_ms))).collect();
        for (id, next_ms) in next {
            let number = self.push(&id, next_ms);
            if let Some(entry) = self.timers.get_mut(&id) {
                entry.number = number;
            }
        }
    }

    fn in_time(&self, at_ms: i64, now_ms: i64) -> bool {
        now_ms.saturating_sub(at_ms) <= self.deadline_ms
    }

    fn push(&mut self, id: &TriggerId, due_ms: Option<i64>) -> u64 {
        self.last_number += 1;
        if let Some(due_ms) = due_ms {
            self.heap.push(Reverse((due_ms, self.last_number, id.clone())));
        }
        self.last_number
    }

    fn drop_stale(&mut self) {
        if self.heap.len() > 2 * self.timers.len() + STALE_MAX {
            let timers = &self.timers;
            self.heap.retain(|Reverse((_, number, id))| timers.get(id).is_some_and(|entry| entry.number == *number));
        }
    }
}

#[cfg(test)]
#[path = "agenda_tests.rs"]
mod tests;
