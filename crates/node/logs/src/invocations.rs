//! Queries of invocations: selects a page and reads the logs back. Blocking; must not be called on
//! a runtime's worker.

use std::collections::HashMap;
use std::sync::Arc;

use types::{FunctionKey, RequestId, RunStatus, VersionName};

use crate::archive::Archive;
use crate::entry::Entry;
use crate::extents::Position;
use crate::query::Query;
use crate::row::{Kind, Row};
use crate::segments::{Form, SegmentFile, Segments};
use crate::select::{Place, Selection, entry_at, select};
use crate::{Config, Error};

/// One invocation with its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Its id.
    pub request_id: RequestId,
    /// The function called.
    pub function: FunctionKey,
    /// The version that ran.
    pub version: VersionName,
    /// The qualifier in the call: a version or an alias.
    pub qualifier: String,
    /// When it began, Unix milliseconds.
    pub start_ms: i64,
    /// False while it runs.
    pub finished: bool,
    /// Its outcome. `None` while it runs, and when `finished`: Sampan was stopped while it ran
    /// (interrupted).
    pub status: Option<RunStatus>,
    /// The result returned to the caller, cut at `ret_msg_bytes_max`; empty while it runs.
    pub ret_msg: String,
    /// Run time in microseconds; 0 while it runs.
    pub duration_us: u64,
    /// Billed run time in milliseconds; 0 while it runs.
    pub bill_duration_ms: u64,
    /// Highest memory in bytes; 0 while it runs.
    pub memory_bytes: u64,
    /// Which retry of an asynchronous event it was; 0 for the first try.
    pub retry_num: u32,
    /// All lines, each with its newline.
    pub log: String,
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Number of matching invocations, on all pages.
    pub total: usize,
    /// Those of this page, in order.
    pub invocations: Vec<Invocation>,
}

impl Page {
    /// Invocations that ended without a recorded status.
    pub(crate) fn interrupted(&self) -> impl Iterator<Item = &Invocation> {
        self.invocations.iter().filter(|run| run.finished && run.status.is_none())
    }
}

/// Last line of a log that did not fit in the page.
const LEFT_OUT: &str = "[PLATFORM] The rest of this log is left out here: ask for this request alone.\n";

/// Answers `query`. `runs`: whether an invocation without an end still runs.
pub(crate) fn answer(
    archive: &Archive,
    query: &Query,
    config: &Config,
    runs: impl Fn(&RequestId) -> bool,
) -> Result<Page, Error> {
    let Selection { total, page } = select(archive, query, config.page_len_max)?;
    let mut logs = Logs { segments: &archive.segments, open: HashMap::new(), left_bytes: config.page_log_bytes_max };
    let mut invocations = Vec::with_capacity(page.len());
    for place in page {
        // Its segment may have been removed meanwhile.
        if let Some(entry) = logs.entry(place)? {
            invocations.push(logs.load(&entry, &runs)?);
        }
    }
    Ok(Page { total, invocations })
}

/// Calls `each` for every row of a segment, with its newline and its position.
pub(crate) fn each_row(segments: &Segments, number: u64, mut each: impl FnMut(&[u8], Position)) -> Result<(), Error> {
    let failed = |source| Error::ReadSegment { path: segments.path(number, Form::Plain), source };
    let Some(mut file) = segments.read(number).map_err(failed)? else { return Ok(()) };
    let mut offset = 0;
    loop {
        let rows = file.rows_at(offset).map_err(failed)?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows.split_inclusive(|b| *b == b'\n') {
            each(row, Position { segment: number, offset });
            offset += row.len() as u64;
        }
    }
}

/// Reads the logs of one page.
struct Logs<'a> {
    segments: &'a Segments,
    open: HashMap<u64, Option<SegmentFile>>,
    left_bytes: usize,
}

/// Segments held open at once while a page is read.
const OPEN_SEGMENTS_MAX: usize = 32;

impl Logs<'_> {
    fn load(&mut self, entry: &Entry, runs: impl Fn(&RequestId) -> bool) -> Result<Invocation, Error> {
        let mut invocation = Invocation {
            request_id: entry.request_id.clone(),
            function: entry.callee.key.clone(),
            version: entry.callee.version,
            qualifier: entry.callee.qualifier.to_string(),
            start_ms: entry.start_ms,
            // An invocation whose end was lost has ended, without a status.
            finished: entry.outcome.is_some() || !runs(&entry.request_id),
            status: entry.outcome.and_then(|outcome| outcome.status),
            ret_msg: String::new(),
            duration_us: entry.outcome.map_or(0, |outcome| outcome.duration_us),
            bill_duration_ms: 0,
            memory_bytes: entry.outcome.map_or(0, |outcome| outcome.memory_bytes),
            retry_num: 0,
            log: String::new(),
        };
        for extent in entry.extents.iter() {
            let len = usize::try_from(extent.len).unwrap_or(usize::MAX);
            let rows = self.read(extent.segment, extent.offset, len)?;
            for row in rows.split(|b| *b == b'\n') {
                self.add(&mut invocation, row);
            }
        }
        Ok(invocation)
    }

    fn add(&mut self, invocation: &mut Invocation, row: &[u8]) {
        // Extents contain rows of other requests too; searching for the id is far cheaper than
        // parsing each row as JSON.
        let id = &invocation.request_id;
        let Some(row) = std::str::from_utf8(row).ok().filter(|text| text.contains(id.as_str())) else { return };
        let Some(row) = Row::decode(row.as_bytes()).filter(|row| row.request_id.as_ref() == Some(id)) else { return };
        row.lines.iter().for_each(|line| self.add_line(invocation, line));
        match row.kind {
            Kind::Begin => invocation.retry_num = row.retry_num.unwrap_or(0),
            Kind::Line => self.add_line(invocation, &row.message),
            Kind::End => {
                invocation.ret_msg = row.message.into_owned();
                invocation.bill_duration_ms = row.bill_duration_ms.unwrap_or(0);
                // Only the beginning of an interrupted one has it.
                invocation.retry_num = invocation.retry_num.max(row.retry_num.unwrap_or(0));
            }
        }
    }

    fn add_line(&mut self, invocation: &mut Invocation, line: &str) {
        if self.left_bytes > line.len() {
            self.left_bytes -= line.len() + 1;
            invocation.log.push_str(line);
            invocation.log.push('\n');
        } else if !invocation.log.ends_with(LEFT_OUT) {
            self.left_bytes = 0;
            invocation.log.push_str(LEFT_OUT);
        }
    }

    fn entry(&mut self, place: Place) -> Result<Option<Arc<Entry>>, Error> {
        match place {
            Place::Memory(entry) => Ok(Some(entry)),
            Place::Row(Position { segment, offset }, len) => {
                let failed = |source| Error::ReadSegment { path: self.segments.path(segment, Form::Plain), source };
                let Some(file) = self.open(segment)? else { return Ok(None) };
                Ok(entry_at(file, segment, offset, len).map_err(failed)?.map(Arc::new))
            }
        }
    }

    fn read(&mut self, number: u64, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        let failed = |source| Error::ReadSegment { path: self.segments.path(number, Form::Plain), source };
        self.open(number)?.map_or(Ok(Vec::new()), |file| file.read(offset, len)).map_err(failed)
    }

    fn open(&mut self, number: u64) -> Result<Option<&mut SegmentFile>, Error> {
        let failed = |source| Error::ReadSegment { path: self.segments.path(number, Form::Plain), source };
        if self.open.len() >= OPEN_SEGMENTS_MAX && !self.open.contains_key(&number) {
            self.open.clear();
        }
        let file = match self.open.entry(number) {
            std::collections::hash_map::Entry::Occupied(held) => held.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(self.segments.read(number).map_err(failed)?)
            }
        };
        Ok(file.as_mut())
    }
}
