//! Invocations that run, and the tails of those that ended lately. Must not know the disk.
//!
//! Every request passes here several times, so the map is cut into shards that are held for a lookup only.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;
use types::RequestId;

use crate::record::Begin;
use crate::tail::Tail;

const SHARDS: usize = 16;

/// An invocation in memory.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) begin: Begin,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tail: Tail,
    /// Output taken so far; platform lines do not count.
    output_bytes: usize,
    finished: bool,
}

impl Request {
    /// An invocation that begins.
    pub(crate) fn new(begin: Begin, tail_bytes: usize) -> Self {
        Self { begin, state: Mutex::new(State { tail: Tail::new(tail_bytes), output_bytes: 0, finished: false }) }
    }

    /// Counts output against the request's limit; false when it is used up.
    pub(crate) fn take_output(&self, bytes: usize, bytes_max: usize) -> bool {
        let mut state = self.state.lock();
        let fits = state.output_bytes.saturating_add(bytes) <= bytes_max;
        if fits {
            state.output_bytes += bytes;
        }
        fits
    }

    /// Shows a line in the tail.
    pub(crate) fn push(&self, line: &str) {
        self.state.lock().tail.push(line);
    }

    /// The end of the log.
    pub(crate) fn tail(&self, bytes: usize) -> String {
        self.state.lock().tail.last(bytes).to_owned()
    }

    /// Shows the last lines and marks the end; false, and nothing shown, when it was marked before.
    fn finish(&self, closing: &[String]) -> bool {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.finished, true) {
            return false;
        }
        closing.iter().for_each(|line| state.tail.push(line));
        true
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.state.lock().finished
    }
}

/// All invocations in memory.
pub(crate) struct Live {
    hasher: RandomState,
    shards: [Mutex<HashMap<RequestId, Arc<Request>>>; SHARDS],
    /// Ended ones, oldest first.
    finished: Mutex<VecDeque<RequestId>>,
    finished_max: usize,
}

impl Live {
    pub(crate) fn new(finished_max: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            finished: Mutex::default(),
            finished_max,
        }
    }

    fn shard(&self, id: &RequestId) -> &Mutex<HashMap<RequestId, Arc<Request>>> {
        let hash = self.hasher.hash_one(id);
        &self.shards[usize::from(hash.to_le_bytes()[7]) % SHARDS]
    }

    pub(crate) fn get(&self, id: &RequestId) -> Option<Arc<Request>> {
        self.shard(id).lock().get(id).cloned()
    }

    /// Whether the invocation runs.
    pub(crate) fn runs(&self, id: &RequestId) -> bool {
        self.get(id).is_some_and(|request| !request.is_finished())
    }

    pub(crate) fn insert(&self, request: Arc<Request>) {
        let id = request.begin.request_id.clone();
        self.shard(&id).lock().insert(id, request);
    }

    /// Forgets one that is not to be recorded.
    pub(crate) fn remove(&self, id: &RequestId) {
        self.shard(id).lock().remove(id);
    }

    /// Ends an invocation; its tail stays until enough others have ended. `None` when it does not run.
    pub(crate) fn finish(&self, id: &RequestId, closing: &[String]) -> Option<Arc<Request>> {
        let request = self.get(id).filter(|request| request.finish(closing))?;
        let forgotten = {
            let mut finished = self.finished.lock();
            finished.push_back(id.clone());
            if finished.len() > self.finished_max { finished.pop_front() } else { None }
        };
        if let Some(old) = forgotten {
            self.shard(&old).lock().remove(&old);
        }
        Some(request)
    }
}
