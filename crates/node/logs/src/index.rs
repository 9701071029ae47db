//! Index of invocations in memory: running ones and those that ended in segments without an index
//! file: their callees, outcomes, and the places of their rows. The writer adds to it, queries copy
//! out of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use types::RequestId;

use crate::callee::Callees;
use crate::entry::Entry;
use crate::extents::Position;
use crate::query::Query;
use crate::row::Row;

/// The index; one owner writes, queries read.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) callees: Callees,
    running: HashMap<RequestId, Arc<Entry>, RandomState>,
    /// In the order of their ends, with the segment of the end row.
    ended: VecDeque<(u64, Arc<Entry>)>,
    by_id: EndedById,
    invocations_max: usize,
    /// Ends in segments up to this one may be missing here; 0 when none is.
    unindexed_through: u64,
}

/// Places of ended invocations by id. Built on a lookup, up to the newest, so that an end costs no
/// lookup.
#[derive(Debug, Default)]
struct EndedById {
    /// Ends are numbered from the first one ever.
    numbers: HashMap<RequestId, u64, RandomState>,
    /// Ends before this one are here.
    through: u64,
    /// The number of the oldest in memory.
    oldest: u64,
}

impl Index {
    /// An empty index of segments after `unindexed_through`.
    pub(crate) fn new(invocations_max: usize, unindexed_through: u64) -> Self {
        Self {
            callees: Callees::default(),
            running: HashMap::default(),
            ended: VecDeque::new(),
            by_id: EndedById::default(),
            invocations_max,
            unindexed_through,
        }
    }

    /// Adds a row that was found in a segment at `at`.
    pub(crate) fn replay(&mut self, row: &Row<'_>, at: Position, len: u64) {
        match Entry::of_row(row, &mut self.callees, at, len) {
            None => self.add_line(row.request_id.as_ref(), at, len),
            Some(entry) if entry.outcome.is_some() => {
                self.running.remove(&entry.request_id);
                self.insert_ended(entry, at.segment);
            }
            Some(entry) => self.insert_running(entry),
        }
    }

    pub(crate) fn insert_running(&mut self, entry: Entry) {
        self.running.insert(entry.request_id.clone(), Arc::new(entry));
    }

    /// Removes a running invocation that ends.
    pub(crate) fn take_running(&mut self, id: &RequestId) -> Option<Entry> {
        self.running.remove(id).map(Arc::unwrap_or_clone)
    }

    /// Adds a row of a request that runs, or that ended recently.
    pub(crate) fn add_line(&mut self, id: Option<&RequestId>, at: Position, len: u64) {
        let Some(id) = id else { return };
        let entry = match self.running.get_mut(id) {
            Some(running) => Some(running),
            None => self.ended_by_id(id),
        };
        if let Some(entry) = entry {
            Arc::make_mut(entry).extents.add(at, len);
        }
    }

    /// Adds an invocation whose end row is in `segment`. Ends of one segment are all here or none
    /// is, so that a count takes no invocation twice.
    pub(crate) fn insert_ended(&mut self, entry: Entry, segment: u64) {
        if segment <= self.unindexed_through {
            return;
        }
        self.ended.push_back((segment, Arc::new(entry)));
        if self.ended.len() > self.invocations_max
            && let Some((segment, _)) = self.ended.front()
        {
            self.forget_through(*segment);
        }
    }

    /// Drops invocations whose end lies in segments up to this one: queries look for those on disk
    /// from now on.
    pub(crate) fn forget_through(&mut self, segment: u64) {
        self.unindexed_through = self.unindexed_through.max(segment);
        while self.ended.front().is_some_and(|(of, _)| *of <= segment)
            && let Some((_, entry)) = self.ended.pop_front()
        {
            self.by_id.forget_oldest(&entry.request_id);
        }
    }

    fn ended_by_id(&mut self, id: &RequestId) -> Option<&mut Arc<Entry>> {
        let place = self.by_id.place(&self.ended, id)?;
        self.ended.get_mut(place).map(|(_, entry)| entry)
    }

    pub(crate) fn get(&mut self, id: &RequestId) -> Option<Arc<Entry>> {
        let running = self.running.get(id).cloned();
        running.or_else(|| self.ended_by_id(id).cloned())
    }

    /// Invocations without an end.
    pub(crate) fn running(&self) -> Vec<Arc<Entry>> {
        self.running.values().cloned().collect()
    }

    /// Invocations that match a query, unordered.
    pub(crate) fn select(&mut self, query: &Query) -> Vec<Arc<Entry>> {
        match &query.request_id {
            Some(id) => self.get(id).filter(|entry| query.matches(entry)).into_iter().collect(),
            None => {
                let all = self.running.values().chain(self.ended.iter().map(|(_, entry)| entry));
                all.filter(|entry| query.matches(entry)).cloned().collect()
            }
        }
    }

    /// Ends in segments up to this one may be missing here.
    pub(crate) fn unindexed_through(&self) -> u64 {
        self.unindexed_through
    }
}

impl EndedById {
    /// The place in `ended` of an id.
    fn place(&mut self, ended: &VecDeque<(u64, Arc<Entry>)>, id: &RequestId) -> Option<usize> {
        let known = usize::try_from(self.through - self.oldest).unwrap_or(usize::MAX);
        for (_, entry) in ended.iter().skip(known) {
            self.numbers.insert(entry.request_id.clone(), self.through);
            self.through += 1;
        }
        let number = self.numbers.get(id)?;
        usize::try_from(number - self.oldest).ok()
    }

    fn forget_oldest(&mut self, id: &RequestId) {
        // A later retry has the same id.
        if self.oldest < self.through && self.numbers.get(id) == Some(&self.oldest) {
            self.numbers.remove(id);
        }
        self.oldest += 1;
        self.through = self.through.max(self.oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::live::Request;
    use crate::record::Record;
    use crate::row::tests::{ended, request};

    fn at(segment: u64, offset: u64) -> Position {
        Position { segment, offset }
    }

    fn write(index: &mut Index, at: Position, records: &[Record]) -> String {
        let mut batch = Batch::new(index, at, 1_700_000_000_000, String::new());
        records.iter().for_each(|record| batch.add(record));
        batch.rows
    }

    fn finish(request: &Arc<Request>) -> Record {
        request.finish(ended(), 5, |_| ());
        Record::End(request.clone(), 0)
    }

    #[test]
    fn the_oldest_ends_are_forgotten_first_and_running_ones_never() {
        let mut index = Index::new(2, 0);
        let requests: Vec<_> = (0..4).map(|_| Arc::new(request())).collect();
        for (n, request) in (1..).zip(&requests) {
            write(&mut index, at(n, 0), &[Record::Begin(request.clone())]);
        }
        for (n, request) in (1..).zip(&requests[1..]) {
            write(&mut index, at(n + 10, 0), &[finish(request)]);
        }
        let held = |index: &mut Index| [0, 1, 2, 3].map(|n: usize| index.get(&requests[n].begin.request_id).is_some());
        assert_eq!(held(&mut index), [true, false, true, true]);
        assert_eq!(index.unindexed_through(), 11);
        index.forget_through(12);
        assert_eq!(held(&mut index), [true, false, false, true]);
        let later = Arc::new(request());
        write(&mut index, at(20, 0), &[Record::Begin(later.clone())]);
        write(&mut index, at(20, 500), &[finish(&later)]);
        assert!(index.get(&later.begin.request_id).is_some_and(|entry| entry.outcome.is_some()));
        assert_eq!(held(&mut index), [true, false, false, true]);
    }

    #[test]
    fn an_end_without_a_beginning_is_complete() {
        let mut index = Index::new(10, 0);
        let request = Arc::new(request());
        write(&mut index, at(1, 0), &[finish(&request)]);
        assert_eq!(index.get(&request.begin.request_id).unwrap().outcome.unwrap().duration_us, 7);
    }

    #[test]
    fn a_line_behind_the_end_is_found() {
        let mut index = Index::new(10, 0);
        let request = Arc::new(request());
        let id = &request.begin.request_id;
        write(&mut index, at(1, 0), &[Record::Begin(request.clone())]);
        write(&mut index, at(1, 500), &[finish(&request)]);
        index.add_line(Some(id), at(1, 1 << 20), 10);
        assert_eq!(index.get(id).unwrap().extents.iter().last(), Some((1, 1 << 20, 10).into()));
    }

    #[test]
    fn replaying_the_rows_gives_the_same_index() {
        let (joined, apart) = (Arc::new(request()), Arc::new(request()));
        joined.finish(ended(), 5, |_| panic!("it joins its beginning"));
        let mut records = vec![Record::Begin(joined.clone()), Record::Begin(apart.clone())];
        let mut written = Index::new(10, 0);
        let mut rows = write(&mut written, at(1, 0), &records);
        records = vec![finish(&apart)];
        let offset = rows.len() as u64;
        rows.push_str(&write(&mut written, at(1, offset), &records));
        let (mut replayed, mut position) = (Index::new(10, 0), at(1, 0));
        for row in rows.split_inclusive('\n') {
            replayed.replay(&Row::decode(row.as_bytes()).unwrap(), position, row.len() as u64);
            position.offset += row.len() as u64;
        }
        assert_eq!(rows.lines().count(), 4);
        for request in [joined, apart] {
            let id = &request.begin.request_id;
            let entry = written.get(id).unwrap();
            assert!(entry.outcome.is_some());
            assert_eq!(replayed.get(id), Some(entry));
        }
    }
}
