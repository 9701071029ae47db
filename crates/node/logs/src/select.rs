//! Selects the invocations of a page: from memory and from the indexes of older segments. Blocking;
//! must not be called on a runtime's worker.
//!
//! Groups of an index have the number of ends and the bounds of the sort key. The most promising
//! groups are read first, and only as long as one of their ends could still be on the page.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use types::RequestId;

use crate::Error;
use crate::archive::Archive;
use crate::callee::Callees;
use crate::entry::Entry;
use crate::extents::Position;
use crate::query::{OrderBy, Query, Rank};
use crate::row::Row;
use crate::segment_index::{EndEntry, Group, Indexes, id_number};
use crate::segments::{Form, SegmentFile, Segments};

/// Entries of a group that are read at once, even if a page needs fewer.
const ENTRIES_AT_ONCE_MIN: usize = 64;

/// A page, and the number of matches on all pages.
pub(crate) struct Selection {
    pub(crate) total: usize,
    pub(crate) page: Vec<Place>,
}

/// Selects the page of a query.
pub(crate) fn select(archive: &Archive, query: &Query, page_len_max: usize) -> Result<Selection, Error> {
    if let Some(id) = &query.request_id {
        let found = find(archive, id, query.start_ms)?.filter(|entry| query.matches(entry));
        let page = found.iter().take(query.reach(page_len_max)).skip(query.offset).cloned().map(Place::Memory);
        return Ok(Selection { total: found.iter().len(), page: page.collect() });
    }
    let (matches, through) = {
        let mut index = archive.index.lock();
        (index.select(query), index.unindexed_through())
    };
    let mut total = matches.len();
    let mut first = First { query, room: query.reach(page_len_max), found: Vec::new() };
    first.add(matches.into_iter().map(|entry| (Rank::of(&entry), Place::Memory(entry))));
    let mut groups = Vec::new();
    for number in closed(&archive.segments, through, query.start_ms) {
        skip_unreadable(number, groups_of(archive, number, query, &mut groups))?;
    }
    total += groups.iter().map(|group| group.entries.len()).sum::<usize>();
    groups.sort_by(|a, b| query.compare(&a.best, &b.best));
    for group in groups {
        if first.room == 0 || !first.may_take(&group.best) {
            break;
        }
        first.read(&archive.indexes, &group).map_err(|source| failed(&archive.segments, group.number, source))?;
    }
    Ok(Selection { total, page: first.found.into_iter().skip(query.offset).map(|(_, place)| place).collect() })
}

/// The invocation of an id, unless it ended before `start_ms`.
pub(crate) fn find(archive: &Archive, id: &RequestId, start_ms: i64) -> Result<Option<Arc<Entry>>, Error> {
    let (known, through) = {
        let mut index = archive.index.lock();
        (index.get(id), index.unindexed_through())
    };
    if known.is_some() {
        return Ok(known);
    }
    for number in closed(&archive.segments, through, start_ms) {
        let found = archive
            .indexes
            .open(number)
            .and_then(|index| index.map_or(Ok(None), |index| index.find(id_number(id))))
            .map_err(|source| failed(&archive.segments, number, source));
        if let Some(entry) = skip_unreadable(number, found)?.flatten() {
            let failed = |source| failed(&archive.segments, number, source);
            let Some(mut file) = archive.segments.read(number).map_err(failed)? else { return Ok(None) };
            let found = entry_at(&mut file, number, entry.offset, entry.len).map_err(failed)?;
            return Ok(found.filter(|entry| entry.request_id == *id).map(Arc::new));
        }
    }
    Ok(None)
}

/// Closed segments up to `through` that have rows of `start_ms` or later, the newest first. An
/// invocation ends after its beginning, so an end in an older one cannot match.
fn closed(segments: &Segments, through: u64, start_ms: i64) -> impl Iterator<Item = u64> {
    let mut all = segments.all();
    // The last one is active.
    all.pop();
    let wanted = all.into_iter().rev().filter(move |(number, segment)| {
        *number <= through && segment.newest_ms >= start_ms && segment.plain_bytes > 0
    });
    wanted.map(|(number, _)| number)
}

fn failed(segments: &Segments, number: u64, source: std::io::Error) -> Error {
    Error::ReadSegment { path: segments.path(number, Form::Plain), source }
}

/// Skips a damaged segment, so that the others can be read.
fn skip_unreadable<T>(number: u64, read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Error::ReadSegment { path, source }) if source.kind() == std::io::ErrorKind::InvalidData => {
            tracing::warn!(segment = number, path = %path.display(), error = %source, "a log segment is unreadable and is left out");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The matching part of a group.
struct GroupPart {
    number: u64,
    name: Arc<str>,
    entries: Range<u32>,
    /// The earliest rank that any of its ends can have.
    best: Rank,
}

fn groups_of(archive: &Archive, number: u64, query: &Query, parts: &mut Vec<GroupPart>) -> Result<(), Error> {
    let failed = |source| failed(&archive.segments, number, source);
    let Some(index) = archive.indexes.open(number).map_err(failed)? else { return Ok(()) };
    let name = query.function.as_ref().map(types::FunctionName::as_str);
    for rows in index.directory.functions(query.namespace.as_str(), name) {
        let name: Arc<str> = rows.name.as_str().into();
        for group in rows.groups.iter().filter(|group| query.wants(group)) {
            let entries = index.began_within(group, query.start_ms, query.end_ms).map_err(failed)?;
            if !entries.is_empty() {
                let best = best(group, name.clone(), query.descending);
                parts.push(GroupPart { number, name: name.clone(), entries, best });
            }
        }
    }
    Ok(())
}

fn best(group: &Group, name: Arc<str>, descending: bool) -> Rank {
    fn end<T>((smallest, largest): (T, T), descending: bool) -> T {
        if descending { largest } else { smallest }
    }
    Rank {
        name,
        start_ms: end(group.start_ms, descending),
        id: end((0, u128::MAX), descending),
        duration_us: end(group.duration_us, descending),
        memory_kib: end(group.memory_kib, descending),
    }
}

/// Place of an invocation's description.
pub(crate) enum Place {
    Memory(Arc<Entry>),
    /// Its end row, with its length in bytes.
    Row(Position, u32),
}

/// Reads an end row; `None` when it is damaged.
pub(crate) fn entry_at(file: &mut SegmentFile, segment: u64, offset: u64, len: u32) -> std::io::Result<Option<Entry>> {
    let row = file.read(offset, len as usize)?;
    Ok(Row::decode(&row)
        .and_then(|row| Entry::of_row(&row, &mut Callees::default(), Position { segment, offset }, u64::from(len))))
}

/// The first invocations in the order of a query, at most `room`.
struct First<'a> {
    query: &'a Query,
    room: usize,
    found: Vec<(Rank, Place)>,
}

impl First<'_> {
    fn add(&mut self, more: impl IntoIterator<Item = (Rank, Place)>) {
        self.found.extend(more);
        self.found.sort_by(|(a, _), (b, _)| self.query.compare(a, b));
        self.found.truncate(self.room);
    }

    /// Whether an invocation of this rank could be among them.
    fn may_take(&self, rank: &Rank) -> bool {
        let last = self.found.last().filter(|_| self.found.len() >= self.room);
        last.is_none_or(|(last, _)| self.query.compare(rank, last) == Ordering::Less)
    }

    fn read(&mut self, indexes: &Indexes, part: &GroupPart) -> std::io::Result<()> {
        let Some(index) = indexes.open(part.number)? else { return Ok(()) };
        let by_start = matches!(self.query.order_by, OrderBy::StartTime | OrderBy::FunctionName);
        let at_once = u32::try_from(self.room.max(ENTRIES_AT_ONCE_MIN)).unwrap_or(u32::MAX);
        let mut left = part.entries.clone();
        while !left.is_empty() {
            let numbers = if self.query.descending {
                left.end.saturating_sub(at_once).max(left.start)..left.end
            } else {
                left.start..left.start.saturating_add(at_once).min(left.end)
            };
            left = if self.query.descending { left.start..numbers.start } else { numbers.end..left.end };
            let ranked: Vec<_> = index.entries(numbers)?.into_iter().map(|end| part.ranked(&end)).collect();
            // Entries of a group are in the order of their starts.
            let furthest = if self.query.descending { ranked.first() } else { ranked.last() };
            let enough = by_start && furthest.is_some_and(|(rank, _)| !self.may_take(rank));
            self.add(ranked);
            if enough {
                break;
            }
        }
        Ok(())
    }
}

impl GroupPart {
    fn ranked(&self, end: &EndEntry) -> (Rank, Place) {
        let rank = Rank {
            name: self.name.clone(),
            start_ms: end.start_ms,
            id: end.id,
            duration_us: end.duration_us,
            memory_kib: end.memory_kib,
        };
        (rank, Place::Row(Position { segment: self.number, offset: end.offset }, end.len))
    }
}
