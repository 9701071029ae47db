//! The prewarm pool of cgroup directories. One thread fills it and removes directories of ended
//! instances, neither while instances start.

use std::collections::VecDeque;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::{Cgroups, InstanceCgroup, Limits};
use crate::demand::{Demand, Levels, Next};
use crate::error::Error;
use crate::prewarm_metrics;

/// Directories of ended instances that may wait for a time without starts before they are removed.
const LEFT_MAX: usize = 64;

/// Directories ready to be taken.
pub struct CgroupPool {
    cgroups: Cgroups,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ready: VecDeque<InstanceCgroup>,
    /// Directories of ended instances.
    left: Vec<InstanceCgroup>,
    demand: Demand,
    /// Limits of the last start, which the next one is likely to use.
    usual: Option<Limits>,
    /// Number in the name of the next directory.
    number: u64,
    stopping: bool,
}

/// Next action of the thread.
enum Work {
    Make(u64, Option<Limits>),
    Remove(Vec<InstanceCgroup>),
    Stop,
}

impl CgroupPool {
    /// Creates an empty pool; [`Self::run`] fills it.
    pub fn new(cgroups: Cgroups, levels: Levels) -> Self {
        let demand = Demand::new(levels, Instant::now());
        let state = State { ready: VecDeque::new(), left: Vec::new(), demand, usual: None, number: 0, stopping: false };
        Self { cgroups, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// All directories, ready or not.
    pub fn cgroups(&self) -> &Cgroups {
        &self.cgroups
    }

    /// Takes a ready directory, or creates one when the pool is empty, and sets its limits.
    pub fn take(&self, limits: Limits) -> Result<InstanceCgroup, Error> {
        let (ready, number) = {
            let mut state = self.state.lock();
            state.demand.took(Instant::now());
            state.usual = Some(limits);
            match state.ready.pop_front() {
                Some(ready) => (Some(ready), 0),
                None => (None, state.next_number()),
            }
        };
        self.changed.notify_one();
        let mut cgroup = match ready {
            Some(ready) => ready,
            None => self.cgroups.create(&number.to_string())?,
        };
        match cgroup.limit(limits) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                self.give_back(cgroup);
                Err(error)
            }
        }
    }

    /// Queues the directories of an ended instance for removal.
    pub fn give_back(&self, cgroup: InstanceCgroup) {
        self.state.lock().left.push(cgroup);
        self.changed.notify_one();
    }

    /// Creates and removes directories until [`Self::stop`]; runs on a thread of its own.
    pub fn run(&self) {
        loop {
            match self.next() {
                Work::Stop => return,
                Work::Remove(left) => left.iter().for_each(InstanceCgroup::remove),
                Work::Make(number, usual) => {
                    let made = self.make(number, usual);
                    let mut state = self.state.lock();
                    match made {
                        Ok(made) => state.ready.push_back(made),
                        Err(error) => {
                            // A start that finds none ready reports the same error to its caller;
                            // here the next attempt waits for a start or an ended instance.
                            tracing::debug!(%error, "cannot prewarm a cgroup");
                            if !state.stopping {
                                self.changed.wait(&mut state);
                            }
                        }
                    }
                }
            }
        }
    }

    fn make(&self, number: u64, usual: Option<Limits>) -> Result<InstanceCgroup, Error> {
        let mut made = self.cgroups.create(&number.to_string())?;
        let limited = usual.map_or(Ok(()), |limits| made.limit(limits));
        // Descriptors that the start and its first request would have to open.
        if let Err(error) = limited.and_then(|()| made.open_fds()) {
            made.remove();
            return Err(error);
        }
        Ok(made)
    }

    fn next(&self) -> Work {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return Work::Stop;
            }
            let now = Instant::now();
            let rest = state.demand.rest(now);
            if !state.left.is_empty() && (rest.is_zero() || state.left.len() > LEFT_MAX) {
                return Work::Remove(std::mem::take(&mut state.left));
            }
            let ready = state.ready.len();
            let next = state.demand.next(now, ready);
            prewarm_metrics::report("cgroup", ready, state.demand.wanted());
            let wait = match next {
                Next::Make => return Work::Make(state.next_number(), state.usual),
                Next::LetGo => return Work::Remove(state.ready.pop_back().into_iter().collect()),
                Next::Wait(_) if !state.left.is_empty() => rest,
                Next::Wait(time) => time,
            };
            self.changed.wait_for(&mut state, wait);
        }
    }

    /// Stops the thread; remaining directories are removed with the parent directories.
    pub fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_all();
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number - 1
    }
}
