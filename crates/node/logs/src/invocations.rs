//! Answers about invocations: those in the index, those found in older segments, and their logs read back. Blocking;
//! must not be called on a runtime's worker.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use types::{FunctionKey, RequestId, RunStatus, VersionName};

use crate::extents::{Extents, Position};
use crate::index::{Entry, Index};
use crate::query::Query;
use crate::row::{Kind, Row};
use crate::segments::{Form, SegmentFile, Segments};
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
    /// What the caller named: a version or an alias.
    pub qualifier: String,
    /// When it began, Unix milliseconds.
    pub start_ms: i64,
    /// False while it runs.
    pub finished: bool,
    /// How it ended. `None` while it runs, and when `finished`: Sampan was stopped while it ran (interrupted).
    pub status: Option<RunStatus>,
    /// What the caller got, cut at `ret_msg_bytes_max`; empty while it runs.
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
    /// How many invocations match, on all pages.
    pub total: usize,
    /// Those of this page, in order.
    pub invocations: Vec<Invocation>,
}

impl Page {
    /// Those that are over though nothing says how they ended.
    pub(crate) fn interrupted(&self) -> impl Iterator<Item = &Invocation> {
        self.invocations.iter().filter(|run| run.finished && run.status.is_none())
    }
}

/// Said at the end of a log that did not fit in the page.
const LEFT_OUT: &str = "[PLATFORM] The rest of this log is left out here: ask for this request alone.\n";

/// Answers `query`. `runs` tells whether an invocation without an end still runs.
pub(crate) fn answer(
    segments: &Segments,
    index: &Mutex<Index>,
    query: &Query,
    config: &Config,
    runs: impl Fn(&RequestId) -> bool,
) -> Result<Page, Error> {
    let (mut matches, unindexed_through) = {
        let index = index.lock();
        (index.select(query), index.unindexed_through())
    };
    if query.request_id.is_none() || matches.is_empty() {
        let known: HashSet<RequestId> = matches.iter().map(|entry| entry.request_id.clone()).collect();
        let old = scan(segments, query, unindexed_through, config)?;
        matches.extend(old.into_iter().filter(|entry| !known.contains(&entry.request_id)));
    }
    let total = matches.len();
    let mut logs = Logs { segments, open: HashMap::new(), left_bytes: config.page_log_bytes_max };
    let page = query.page(matches, config.page_len_max);
    let invocations = page.iter().map(|entry| logs.load(entry, &runs)).collect::<Result<_, _>>()?;
    Ok(Page { total, invocations })
}

/// Where the rows of one invocation are; `None` for one that is not in the log.
pub(crate) fn find(
    segments: &Segments,
    index: &Mutex<Index>,
    query: &Query,
    id: &RequestId,
    config: &Config,
) -> Result<Option<Extents>, Error> {
    let (known, unindexed_through) = {
        let index = index.lock();
        (index.get(id), index.unindexed_through())
    };
    let entry = match known {
        Some(entry) => Some(entry),
        None => scan(segments, query, unindexed_through, config)?.pop(),
    };
    Ok(entry.map(|entry| entry.extents.clone()))
}

/// Matches that ended in segments up to `through`.
fn scan(segments: &Segments, query: &Query, through: u64, config: &Config) -> Result<Vec<Arc<Entry>>, Error> {
    let mut left_bytes = config.scan_bytes_max;
    let mut found = Vec::new();
    for (number, segment) in segments.all().into_iter().rev() {
        // An invocation ends after its beginning, so an end in a segment older than the wanted time is not wanted.
        if number > through || segment.newest_ms < query.start_ms || segment.plain_bytes == 0 {
            continue;
        }
        left_bytes = left_bytes
            .checked_sub(segment.plain_bytes)
            .ok_or(Error::ScanTooLarge { bytes_max: config.scan_bytes_max })?;
        each_row(segments, number, |bytes, at| {
            if !is_end(bytes) {
                return;
            }
            let entry = Row::decode(bytes).and_then(|row| Entry::of_row(&row, at, bytes.len() as u64));
            found.extend(entry.filter(|entry| query.matches(entry)).map(Arc::new));
        })?;
        if found.len() > config.index_invocations_max {
            return Err(Error::TooManyMatches { invocations_max: config.index_invocations_max });
        }
        if query.request_id.is_some() && !found.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// Whether a row is an end, by its first bytes: the kind is the first field that [`Row::encode`] writes.
fn is_end(row: &[u8]) -> bool {
    row.starts_with(b"{\"Record\":\"end\"")
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
            function: entry.key.clone(),
            version: entry.version,
            qualifier: entry.qualifier.as_ref().to_owned(),
            start_ms: entry.start_ms,
            // One whose end was lost is over, though nothing says how.
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
        // Stretches hold rows of other requests too; looking for the id is far cheaper than reading each as JSON.
        let id = &invocation.request_id;
        let Some(row) = std::str::from_utf8(row).ok().filter(|text| text.contains(id.as_str())) else { return };
        let Some(row) = Row::decode(row.as_bytes()).filter(|row| row.request_id.as_ref() == Some(id)) else { return };
        row.lines.iter().for_each(|line| self.add_line(invocation, line));
        match row.kind {
            Kind::Begin => {}
            Kind::Line => self.add_line(invocation, &row.message),
            Kind::End => {
                invocation.ret_msg = row.message.into_owned();
                invocation.bill_duration_ms = row.bill_duration_ms.unwrap_or(0);
                invocation.retry_num = row.retry_num.unwrap_or(0);
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

    fn read(&mut self, number: u64, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
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
        file.as_mut().map_or(Ok(Vec::new()), |file| file.read(offset, len)).map_err(failed)
    }
}
