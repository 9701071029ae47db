//! Encodes a batch of records as rows for the active segment, and adds them to the index.

use std::sync::Arc;

use types::{FunctionKey, Qualifier, RequestId, VersionName};

use crate::callee::Callee;
use crate::encode;
use crate::entry::Entry;
use crate::extents::Position;
use crate::index::Index;
use crate::live::Request;
use crate::record::{LineRecord, Record};
use crate::row::Outcome;
use crate::run::{Begin, End};

/// Rows to be appended at a position.
pub(crate) struct Batch<'a> {
    index: &'a mut Index,
    start: Position,
    now_ms: i64,
    pub(crate) rows: String,
    /// Invocations that end in it.
    pub(crate) ends: usize,
}

impl<'a> Batch<'a> {
    /// A batch that will be appended at `start`. The index is locked for as long. `rows` is memory
    /// for its rows, empty.
    pub(crate) fn new(index: &'a mut Index, start: Position, now_ms: i64, rows: String) -> Self {
        Self { index, start, now_ms, rows, ends: 0 }
    }

    pub(crate) fn add(&mut self, record: &Record) {
        match record {
            Record::Begin(request) => self.begin(request),
            Record::Line(line) => self.line(line),
            Record::End(request, _) => {
                let found = self.index.take_running(&request.begin.request_id);
                // A full queue may have rejected its beginning.
                let entry = found.unwrap_or_else(|| self.entry(&request.begin));
                request.write_end(|end, time_ms| self.end(entry, &request.begin, end, time_ms));
            }
        }
    }

    /// Ends an invocation that was running when Sampan stopped.
    pub(crate) fn interrupted(&mut self, id: &RequestId) {
        let Some(mut entry) = self.index.take_running(id) else { return };
        let at = self.position();
        encode::interrupted(&mut self.rows, &entry.callee, id, entry.start_ms, &entry.extents, self.now_ms);
        entry.extents.add(at, self.len_since(at));
        entry.outcome = Some(Outcome { status: None, duration_us: 0, memory_bytes: 0 });
        self.index.insert_ended(entry, at.segment);
    }

    fn begin(&mut self, request: &Request) {
        let begin = &request.begin;
        let mut entry = self.entry(begin);
        let at = self.position();
        encode::begin(&mut self.rows, &entry.callee, begin);
        entry.extents.add(at, self.len_since(at));
        let mut entry = Some(entry);
        request.write_joined(|end, time_ms| entry.take().map(|entry| self.end(entry, begin, end, time_ms)));
        if let Some(running) = entry {
            self.index.insert_running(running);
        }
    }

    fn end(&mut self, mut entry: Entry, begin: &Begin, end: &End, time_ms: i64) {
        let at = self.position();
        encode::end(&mut self.rows, &entry.callee, begin, end, &entry.extents, time_ms);
        entry.extents.add(at, self.len_since(at));
        entry.outcome = Some(end.into());
        self.ends += 1;
        self.index.insert_ended(entry, at.segment);
    }

    fn line(&mut self, line: &LineRecord) {
        let callee = match &line.request {
            Some(request) => self.callee(&request.begin.function.key, request.begin.version, &request.begin.qualifier),
            None => self.callee(&line.function.key, line.version, &Qualifier::Version(line.version)),
        };
        let at = self.position();
        encode::line(&mut self.rows, &callee, line);
        self.index.add_line(line.request_id.as_ref(), at, self.len_since(at));
    }

    fn entry(&mut self, begin: &Begin) -> Entry {
        let callee = self.callee(&begin.function.key, begin.version, &begin.qualifier);
        Entry {
            request_id: begin.request_id.clone(),
            callee,
            start_ms: begin.start_ms,
            outcome: None,
            extents: Default::default(),
        }
    }

    fn callee(&mut self, key: &FunctionKey, version: VersionName, qualifier: &Qualifier) -> Arc<Callee> {
        self.index.callees.get(key, version, qualifier)
    }

    /// The position of the next row.
    fn position(&self) -> Position {
        Position { segment: self.start.segment, offset: self.start.offset + self.rows.len() as u64 }
    }

    fn len_since(&self, at: Position) -> u64 {
        self.position().offset - at.offset
    }
}
