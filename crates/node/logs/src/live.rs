//! Running invocations, and the tails of those that ended recently. In memory; every request is
//! looked up here twice, so the map is split into shards, which are locked for a lookup only.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use types::RequestId;

use crate::platform_lines;
use crate::run::{Begin, End};
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
    in_tail: InTail,
    /// Output taken so far; platform lines do not count.
    output_bytes: usize,
    end: Option<Ended>,
    /// Whether its beginning is in the queue without later records of it: an end without texts then
    /// needs no record of its own.
    only_begin_queued: bool,
}

/// An end, with the time of its lines in Unix milliseconds.
#[derive(Debug)]
struct Ended {
    end: End,
    time_ms: i64,
}

/// The record's platform lines that the tail has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InTail {
    None,
    Begin,
    End,
}

/// Outcome of recording an end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// It had ended before.
    Repeated,
    /// It is written with the queued beginning.
    Joined,
    /// It was queued as a record of its own.
    Queued,
}

impl State {
    /// Adds the lines of the beginning and of the end, unless the tail has them.
    fn complete_tail(&mut self, begin: &Begin) {
        let State { tail, in_tail, end, .. } = self;
        if *in_tail == InTail::None {
            *in_tail = InTail::Begin;
            platform_lines::of_begin(begin, |line| tail.push(line));
        }
        if *in_tail == InTail::Begin
            && let Some(Ended { end, .. }) = end
        {
            *in_tail = InTail::End;
            platform_lines::of_end(&begin.request_id, end, |line| tail.push(line));
        }
    }
}

impl Request {
    /// An invocation that begins; `queued`: its beginning goes to the queue.
    pub(crate) fn new(begin: Begin, tail_bytes: usize, queued: bool) -> Self {
        let state = State {
            tail: Tail::new(tail_bytes),
            in_tail: InTail::None,
            output_bytes: 0,
            end: None,
            only_begin_queued: queued,
        };
        Self { begin, state: Mutex::new(state) }
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

    /// Adds a line to the tail, before it is queued.
    pub(crate) fn push(&self, line: &str) {
        let mut state = self.state.lock();
        state.only_begin_queued = false;
        state.complete_tail(&self.begin);
        state.tail.push(line);
    }

    /// The end of the log.
    pub(crate) fn tail(&self, bytes: usize) -> String {
        let mut state = self.state.lock();
        state.complete_tail(&self.begin);
        state.tail.last(bytes).to_owned()
    }

    /// Records that the queue rejected its beginning.
    pub(crate) fn begin_refused(&self) {
        self.state.lock().only_begin_queued = false;
    }

    /// Accepts the first end; calls `queue`, under the lock, if it needs a record.
    pub(crate) fn finish(&self, end: End, time_ms: i64, queue: impl FnOnce(&End)) -> Finish {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return Finish::Repeated;
        }
        // The beginning reserved room for an end, but not for its texts.
        state.only_begin_queued &= end.text_bytes() == 0;
        let joined = state.only_begin_queued;
        let ended = state.end.insert(Ended { end, time_ms });
        if joined {
            return Finish::Joined;
        }
        queue(&ended.end);
        Finish::Queued
    }

    /// Calls `write` with the end that joined the beginning and its time, if one did; a later one
    /// is queued by itself.
    pub(crate) fn write_joined<T>(&self, write: impl FnOnce(&End, i64) -> T) -> Option<T> {
        let mut state = self.state.lock();
        let joined = std::mem::take(&mut state.only_begin_queued);
        state.end.as_ref().filter(|_| joined).map(|ended| write(&ended.end, ended.time_ms))
    }

    /// Calls `write` with the end and its time; from then on only the parts that the tail needs are
    /// kept.
    pub(crate) fn write_end<T>(&self, write: impl FnOnce(&End, i64) -> T) -> Option<T> {
        let mut state = self.state.lock();
        let ended = state.end.as_mut()?;
        let written = write(&ended.end, ended.time_ms);
        ended.end.ret_msg = String::new();
        Some(written)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.state.lock().end.is_some()
    }
}

/// All invocations in memory.
pub(crate) struct Live {
    hasher: RandomState,
    shards: [Mutex<HashMap<RequestId, Arc<Request>, RandomState>>; SHARDS],
    /// Ended invocations, oldest first.
    finished: Mutex<VecDeque<Arc<Request>>>,
    finished_max: usize,
}

impl Live {
    pub(crate) fn new(finished_max: usize) -> Self {
        let hasher = RandomState::default();
        Self {
            hasher,
            shards: std::array::from_fn(|_| Mutex::new(HashMap::with_hasher(RandomState::default()))),
            finished: Mutex::default(),
            finished_max,
        }
    }

    fn shard(&self, id: &RequestId) -> &Mutex<HashMap<RequestId, Arc<Request>, RandomState>> {
        let hash = self.hasher.hash_one(id.as_str());
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

    /// Removes an invocation that is not recorded.
    pub(crate) fn remove(&self, id: &RequestId) {
        self.shard(id).lock().remove(id);
    }

    /// Keeps the tail of an ended invocation until enough others have ended.
    pub(crate) fn keep_finished(&self, request: Arc<Request>) {
        let forgotten = {
            let mut finished = self.finished.lock();
            finished.push_back(request);
            if finished.len() > self.finished_max { finished.pop_front() } else { None }
        };
        if let Some(old) = forgotten {
            // A retry has the id of the previous attempt.
            let mut shard = self.shard(&old.begin.request_id).lock();
            if shard.get(&old.begin.request_id).is_some_and(|kept| Arc::ptr_eq(kept, &old)) {
                shard.remove(&old.begin.request_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::{begin, ended, request};

    #[test]
    fn an_end_without_texts_joins_a_beginning_that_waits_alone() {
        let request = request();
        assert_eq!(request.finish(ended(), 5, |_| panic!("it is not queued")), Finish::Joined);
        assert_eq!(request.finish(ended(), 5, |_| panic!("the first end counts")), Finish::Repeated);
        assert_eq!(request.write_joined(|end, time_ms| (end.duration_us, time_ms)), Some((7, 5)));
    }

    #[test]
    fn an_end_is_queued_behind_lines_and_written_beginnings_and_with_texts() {
        let behind_a_line = request();
        behind_a_line.push("line");
        let after_the_write = request();
        assert_eq!(after_the_write.write_joined(|_, _| ()), None);
        let refused = request();
        refused.begin_refused();
        for request in [behind_a_line, after_the_write, refused] {
            let mut queued = false;
            assert_eq!(request.finish(ended(), 5, |_| queued = true), Finish::Queued);
            assert!(queued);
            assert_eq!(request.write_joined(|_, _| ()), None);
            assert_eq!(request.write_end(|end, time_ms| (end.duration_us, time_ms)), Some((7, 5)));
        }
        let with_texts = request();
        assert_eq!(with_texts.finish(End { ret_msg: "x".into(), ..ended() }, 5, |_| ()), Finish::Queued);
    }

    #[test]
    fn a_retry_is_kept_when_the_try_before_it_is_forgotten() {
        let live = Live::new(1);
        let first = Arc::new(request());
        let retry = Arc::new(Request::new(Begin { retry_num: 1, ..first.begin.clone() }, 1_000, true));
        first.finish(ended(), 5, |_| ());
        live.insert(first.clone());
        live.keep_finished(first);
        live.insert(retry.clone());
        live.keep_finished(Arc::new(request()));
        assert!(live.runs(&retry.begin.request_id));
    }

    #[test]
    fn the_tail_has_the_lines_of_the_record_around_the_output() {
        let begin = Begin { start_line: true, ..begin() };
        let id = begin.request_id.clone();
        let request = Request::new(begin, 1_000, true);
        assert_eq!(request.tail(1_000), format!("START RequestId:{id}\n"));
        request.push("output");
        request.finish(End { closing: vec!["closing".into()], report_memory_mb: Some(64), ..ended() }, 5, |_| ());
        request.push("late");
        let report = format!("Report RequestId:{id} Duration:1ms Memory:64MB MemUsage:0.00000858306884765625MB");
        let wanted = format!("START RequestId:{id}\noutput\nclosing\nEND RequestId:{id}\n{report}\nlate\n");
        assert_eq!(request.tail(1_000), wanted);
        assert_eq!(request.tail(1_000), wanted);
    }
}
