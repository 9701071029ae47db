//! Invocations in memory, those that run and those that ended in segments without an index of their own: what each was,
//! how it ended, and where its rows are. Must not do I/O; the writer feeds it, queries copy out of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use types::{FunctionKey, RequestId, VersionName};

use crate::extents::{Extents, Position};
use crate::query::Query;
use crate::record::{Begin, Record};
use crate::row::{Kind, Outcome, Row};

/// One invocation, without its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) request_id: RequestId,
    pub(crate) key: FunctionKey,
    pub(crate) version: VersionName,
    pub(crate) qualifier: Arc<str>,
    pub(crate) start_ms: i64,
    /// `None` while it runs.
    pub(crate) outcome: Option<Outcome>,
    pub(crate) extents: Extents,
}

impl Entry {
    fn of_begin(begin: &Begin) -> Self {
        Self {
            request_id: begin.request_id.clone(),
            key: begin.function.key.clone(),
            version: begin.version,
            qualifier: begin.qualifier.as_str().into(),
            start_ms: begin.start_ms,
            outcome: None,
            extents: Extents::default(),
        }
    }

    /// From a `begin` or `end` row of `len` bytes at `at`; `None` for other rows and damaged ones.
    pub(crate) fn of_row(row: &Row<'_>, at: Position, len: u64) -> Option<Self> {
        if row.kind == Kind::Line {
            return None;
        }
        let mut extents = row.extents.clone().unwrap_or_default();
        extents.add(at, len);
        Some(Self {
            request_id: row.request_id.clone()?,
            key: row.key()?,
            version: row.version,
            qualifier: row.qualifier().into(),
            start_ms: row.start_ms?,
            outcome: row.outcome(),
            extents,
        })
    }
}

/// The index; one owner writes, queries read.
#[derive(Debug)]
pub(crate) struct Index {
    entries: HashMap<RequestId, Arc<Entry>>,
    /// Ended invocations in the order of their ends, with the segment of the end row.
    finished: VecDeque<(u64, RequestId)>,
    invocations_max: usize,
    /// Ends in segments up to this one may be missing here; 0 when none is.
    unindexed_through: u64,
}

impl Index {
    /// An empty index of segments after `unindexed_through`.
    pub(crate) fn new(invocations_max: usize, unindexed_through: u64) -> Self {
        Self { entries: HashMap::new(), finished: VecDeque::new(), invocations_max, unindexed_through }
    }

    /// Takes a record that is being written at `at`.
    pub(crate) fn note(&mut self, record: &Record, at: Position, len: u64) {
        match record {
            Record::Begin(request, _) => {
                let mut entry = Entry::of_begin(&request.begin);
                entry.extents.add(at, len);
                self.entries.insert(entry.request_id.clone(), Arc::new(entry));
            }
            Record::Line(line) => self.note_line(line.request_id.as_ref(), at, len),
            Record::End(request, end) => {
                // Its beginning may have been refused by a full queue.
                let mut entry = self
                    .get(&request.begin.request_id)
                    .map_or_else(|| Entry::of_begin(&request.begin), Arc::unwrap_or_clone);
                entry.extents.add(at, len);
                entry.outcome = Some(Outcome {
                    status: Some(end.status),
                    duration_us: end.duration_us,
                    memory_bytes: end.memory_bytes,
                });
                self.insert_finished(entry, at.segment);
            }
        }
    }

    /// Takes a row that was found in a segment at `at`.
    pub(crate) fn replay(&mut self, row: &Row<'_>, at: Position, len: u64) {
        match Entry::of_row(row, at, len) {
            None => self.note_line(row.request_id.as_ref(), at, len),
            Some(entry) if entry.outcome.is_some() => self.insert_finished(entry, at.segment),
            Some(entry) => {
                self.entries.insert(entry.request_id.clone(), Arc::new(entry));
            }
        }
    }

    fn note_line(&mut self, request_id: Option<&RequestId>, at: Position, len: u64) {
        if let Some(entry) = request_id.and_then(|id| self.entries.get_mut(id)) {
            Arc::make_mut(entry).extents.add(at, len);
        }
    }

    /// Ends of one segment are all here or none is, so that a count takes no invocation twice.
    fn insert_finished(&mut self, entry: Entry, segment: u64) {
        if segment <= self.unindexed_through {
            self.entries.remove(&entry.request_id);
            return;
        }
        self.finished.push_back((segment, entry.request_id.clone()));
        self.entries.insert(entry.request_id.clone(), Arc::new(entry));
        if self.finished.len() > self.invocations_max
            && let Some((segment, _)) = self.finished.front()
        {
            self.forget_through(*segment);
        }
    }

    /// Forgets invocations whose end lies in segments up to this one: those are looked for on disk from now on.
    pub(crate) fn forget_through(&mut self, segment: u64) {
        self.unindexed_through = self.unindexed_through.max(segment);
        while self.finished.front().is_some_and(|(of, _)| *of <= segment)
            && let Some((_, id)) = self.finished.pop_front()
        {
            self.entries.remove(&id);
        }
    }

    pub(crate) fn get(&self, id: &RequestId) -> Option<Arc<Entry>> {
        self.entries.get(id).cloned()
    }

    /// Where the rows of a request are so far.
    pub(crate) fn extents(&self, id: &RequestId) -> Extents {
        self.entries.get(id).map_or_else(Extents::default, |entry| entry.extents.clone())
    }

    /// Invocations without an end.
    pub(crate) fn running(&self) -> Vec<Arc<Entry>> {
        self.entries.values().filter(|entry| entry.outcome.is_none()).cloned().collect()
    }

    /// Those that a query asks for, in no order.
    pub(crate) fn select(&self, query: &Query) -> Vec<Arc<Entry>> {
        match &query.request_id {
            Some(id) => self.get(id).filter(|entry| query.matches(entry)).into_iter().collect(),
            None => self.entries.values().filter(|entry| query.matches(entry)).cloned().collect(),
        }
    }

    /// Ends in segments up to this one may be missing here.
    pub(crate) fn unindexed_through(&self) -> u64 {
        self.unindexed_through
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::End;
    use crate::row::tests::request;
    use types::RunStatus;

    fn at(segment: u64, offset: u64) -> Position {
        Position { segment, offset }
    }

    fn end() -> End {
        End {
            status: RunStatus::Success,
            ret_msg: String::new(),
            duration_us: 7,
            bill_duration_ms: 1,
            memory_bytes: 9,
            closing: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_ends_are_forgotten_first_and_running_ones_never() {
        let mut index = Index::new(2, 0);
        let requests: Vec<_> = (0..4).map(|_| Arc::new(request())).collect();
        for (n, request) in (1..).zip(&requests) {
            index.note(&Record::Begin(request.clone(), String::new()), at(n, 0), 10);
        }
        for (n, request) in (1..).zip(&requests[1..]) {
            index.note(&Record::End(request.clone(), end()), at(n + 10, 0), 10);
        }
        let held = |index: &Index, n: usize| index.get(&requests[n].begin.request_id).is_some();
        assert_eq!([0, 1, 2, 3].map(|n| held(&index, n)), [true, false, true, true]);
        assert_eq!(index.unindexed_through(), 11);
        index.forget_through(12);
        assert_eq!([0, 1, 2, 3].map(|n| held(&index, n)), [true, false, false, true]);
    }

    #[test]
    fn an_end_without_a_beginning_is_complete() {
        let mut index = Index::new(10, 0);
        let request = Arc::new(request());
        index.note(&Record::End(request.clone(), end()), at(1, 0), 10);
        assert_eq!(index.get(&request.begin.request_id).unwrap().outcome.unwrap().duration_us, 7);
    }

    #[test]
    fn replaying_the_rows_gives_the_same_index() {
        let mut written = Index::new(10, 0);
        let mut replayed = Index::new(10, 0);
        let request = Arc::new(request());
        let mut position = at(1, 0);
        for record in [Record::Begin(request.clone(), String::new()), Record::End(request.clone(), end())] {
            let mut bytes = Vec::new();
            Row::of(&record, written.extents(&request.begin.request_id)).encode(&mut bytes);
            let len = bytes.len() as u64;
            written.note(&record, position, len);
            replayed.replay(&Row::decode(&bytes).unwrap(), position, len);
            position.offset += len;
        }
        let id = &request.begin.request_id;
        assert_eq!(written.get(id), replayed.get(id));
    }
}
