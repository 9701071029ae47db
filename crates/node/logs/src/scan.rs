//! Reads lines back from the segments: pages from a cursor on, and the newest ones from the end
//! backwards. Blocking; must not be called on a runtime's worker.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use types::{FunctionName, RequestId, RunStatus};

use crate::archive::Archive;
use crate::extents::{Extents, Position};
use crate::lines::{Cursor, Filter, Line, LinePage};
use crate::row::Row;
use crate::segments::{Form, Segment, Segments};
use crate::{Config, Error, select};

/// Reads up to `limit` matching lines after `after`, or from the filter's time on; more when the
/// first row alone has more. Stops early, with `more`, when it has read `scan_bytes_max` or the
/// page is full.
pub(crate) fn forward(
    archive: &Archive,
    filter: &Filter,
    after: Option<Cursor>,
    limit: usize,
    config: &Config,
) -> Result<LinePage, Error> {
    let limit = limit.min(config.page_len_max);
    let segments = &*archive.segments;
    let wanted = Wanted::new(archive, filter);
    let mut position = after.map_or(Position { segment: 0, offset: 0 }, |cursor| cursor.0);
    let (mut left_bytes, mut page_bytes) = (config.scan_bytes_max, 0);
    let mut lines = Vec::new();
    for (number, segment) in segments.all() {
        if number < position.segment || segment.plain_bytes == 0 {
            continue;
        }
        if number > position.segment {
            position = Position { segment: number, offset: 0 };
        }
        let failed = |source| Error::ReadSegment { path: segments.path(number, Form::Plain), source };
        let stretches = if segment.newest_ms < filter.start_ms {
            Some(Vec::new())
        } else {
            wanted.stretches(number, &segment).map_err(failed)?
        };
        if stretches.as_ref().is_some_and(Vec::is_empty) {
            position.offset = position.offset.max(segment.plain_bytes);
            continue;
        }
        let Some(mut file) = segments.read(number).map_err(failed)? else { continue };
        loop {
            if let Some(stretches) = &stretches {
                let next = stretches.iter().find(|stretch| stretch.end > position.offset);
                position.offset = next.map_or(segment.plain_bytes, |stretch| stretch.start).max(position.offset);
            }
            let rows = file.rows_at(position.offset).map_err(failed)?;
            if rows.is_empty() {
                break;
            }
            for row in rows.split_inclusive(|b| *b == b'\n') {
                if lines.len() >= limit || left_bytes == 0 || page_bytes >= config.page_log_bytes_max {
                    return Ok(LinePage::in_order(lines, Cursor(position), true));
                }
                let of_row = wanted.of_row(row)?;
                // The lines of a row share one cursor, so they stay together.
                if !lines.is_empty() && lines.len() + of_row.len() > limit {
                    return Ok(LinePage::in_order(lines, Cursor(position), true));
                }
                left_bytes = left_bytes.saturating_sub(row.len() as u64);
                position.offset += row.len() as u64;
                page_bytes += of_row.iter().map(|line| line.text.len()).sum::<usize>();
                lines.extend(of_row);
            }
        }
    }
    Ok(LinePage::in_order(lines, Cursor(position), false))
}

/// Reads the newest `limit` matching lines. Stops early, with `more`, when it has read
/// `newest_scan_bytes_max` or the page is full.
pub(crate) fn newest(archive: &Archive, filter: &Filter, limit: usize, config: &Config) -> Result<LinePage, Error> {
    let all = archive.segments.all();
    let end = all.last().map_or(Position { segment: 0, offset: 0 }, |(number, segment)| Position {
        segment: *number,
        offset: segment.plain_bytes,
    });
    let mut back = Back {
        wanted: Wanted::new(archive, filter),
        lines: Vec::new(),
        left: limit.min(config.page_len_max),
        left_bytes: config.page_log_bytes_max,
    };
    let complete = match &filter.request_id {
        Some(id) => {
            let found = select::find(archive, id, 0)?;
            found.map_or(Ok(true), |entry| back.request(&entry.extents, id))?
        }
        None => back.segments(all, config.newest_scan_bytes_max)?,
    };
    back.lines.reverse();
    Ok(LinePage::in_order(back.lines, Cursor(end), !complete))
}

/// Lines taken from the end back, the newest first.
struct Back<'a> {
    wanted: Wanted<'a>,
    lines: Vec<Line>,
    /// How many still fit.
    left: usize,
    left_bytes: usize,
}

impl Back<'_> {
    /// Takes the matching lines of the newest `bytes_max` bytes; false when there may be older
    /// ones.
    fn segments(&mut self, all: Vec<(u64, Segment)>, bytes_max: u64) -> Result<bool, Error> {
        let mut left_bytes = bytes_max;
        for (number, segment) in all.into_iter().rev() {
            if segment.newest_ms < self.wanted.filter.start_ms {
                break;
            }
            if !self.segment(number, &segment, &mut left_bytes)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the matching lines of a segment; false when it may have older ones that were not read.
    fn segment(&mut self, number: u64, segment: &Segment, left_bytes: &mut u64) -> Result<bool, Error> {
        let segments = &self.wanted.archive.segments;
        let failed = |source| Error::ReadSegment { path: segments.path(number, Form::Plain), source };
        let stretches = self.wanted.stretches(number, segment).map_err(failed)?;
        if stretches.as_ref().is_some_and(Vec::is_empty) {
            return Ok(true);
        }
        let Some(mut file) = segments.read(number).map_err(failed)? else { return Ok(true) };
        let mut end = segment.plain_bytes;
        loop {
            let (start, rows) = match &stretches {
                // Without an index, all of it.
                None if end == 0 => return Ok(true),
                None => file.rows_before(end).map_err(failed)?,
                Some(stretches) => {
                    let Some(next) = stretches.iter().rev().find(|stretch| stretch.end <= end) else { return Ok(true) };
                    let mut rows = file.rows_at(next.start).map_err(failed)?;
                    rows.truncate(usize::try_from(next.end - next.start).unwrap_or(usize::MAX));
                    (next.start, rows)
                }
            };
            if *left_bytes == 0 || self.left == 0 {
                return Ok(false);
            }
            *left_bytes = left_bytes.saturating_sub(rows.len() as u64);
            for row in rows.split_inclusive(|b| *b == b'\n').rev() {
                let lines = self.wanted.of_row(row)?;
                if !self.take(lines) || self.left == 0 {
                    return Ok(false);
                }
            }
            end = start;
        }
    }

    /// Takes the lines of one request; false when they are too many.
    fn request(&mut self, extents: &Extents, id: &RequestId) -> Result<bool, Error> {
        let mut lines = lines_of_request(&self.wanted.archive.segments, extents, id)?;
        lines.retain(|line| self.wanted.filter.matches(line));
        Ok(self.take(lines))
    }

    /// Takes lines, the last one first; false when one does not fit any more.
    fn take(&mut self, lines: Vec<Line>) -> bool {
        for line in lines.into_iter().rev() {
            if self.left == 0 || self.left_bytes < line.text.len() {
                self.left = 0;
                return false;
            }
            self.left -= 1;
            self.left_bytes -= line.text.len();
            self.lines.push(line);
        }
        true
    }
}

/// Matches rows against a filter.
struct Wanted<'a> {
    archive: &'a Archive,
    filter: &'a Filter,
    /// Text in the JSON of each row of the function; searching for it is far cheaper than parsing
    /// each row.
    mark: Option<String>,
}

impl<'a> Wanted<'a> {
    fn new(archive: &'a Archive, filter: &'a Filter) -> Self {
        let mark = filter.function.as_ref().map(|name| format!("\"SCF_FunctionName\":\"{name}\""));
        Self { archive, filter, mark }
    }

    /// The parts of a segment that may have matching rows, in order, by its index; `None` without
    /// an index.
    fn stretches(&self, number: u64, segment: &Segment) -> io::Result<Option<Vec<Range<u64>>>> {
        // The next query of invocations rebuilds a damaged index.
        let Ok(Some(index)) = self.archive.indexes.open_existing(number) else { return Ok(None) };
        let directory = &index.directory;
        let name = self.filter.function.as_ref().map(FunctionName::as_str);
        let functions = directory.functions(self.filter.namespace.as_str(), name);
        let mut numbers = BTreeSet::new();
        for rows in functions {
            if self.filter.failed {
                for group in rows.groups.iter().filter(|group| group.status() != Some(RunStatus::Success)) {
                    let ends = index.entries(group.first..group.first.saturating_add(group.count))?;
                    numbers.extend(ends.iter().map(|end| directory.block_at(end.offset)));
                }
            } else {
                numbers.extend(rows.blocks.iter().map(|number| *number as usize));
            }
        }
        let end_of = |number: usize| directory.blocks.get(number + 1).map_or(segment.plain_bytes, |next| next.offset);
        let blocks = numbers.into_iter().filter_map(|number| directory.blocks.get(number).map(|block| (number, block)));
        let wanted = blocks.filter(|(_, block)| self.reaches(block.oldest_ms, block.newest_ms));
        Ok(Some(wanted.map(|(number, block)| block.offset..end_of(number)).collect()))
    }

    /// Whether rows of a time range may have matching lines. Those of a failed request are older
    /// than its end.
    fn reaches(&self, oldest_ms: i64, newest_ms: i64) -> bool {
        newest_ms >= self.filter.start_ms && (self.filter.failed || oldest_ms <= self.filter.end_ms)
    }

    fn of_row(&self, row: &[u8]) -> Result<Vec<Line>, Error> {
        let Ok(text) = std::str::from_utf8(row) else { return Ok(Vec::new()) };
        if self.mark.as_ref().is_some_and(|mark| !text.contains(mark)) {
            return Ok(Vec::new());
        }
        let Some(row) = Row::decode(row) else { return Ok(Vec::new()) };
        let mut lines = if self.filter.failed { self.of_failed(row)? } else { row.into_lines() };
        lines.retain(|line| self.filter.matches(line));
        Ok(lines)
    }

    /// All lines of a request that failed, at the row of its end.
    fn of_failed(&self, row: Row<'_>) -> Result<Vec<Line>, Error> {
        let failed = row.outcome().is_some_and(|outcome| outcome.status != Some(RunStatus::Success));
        let Some(id) = row.request_id.clone().filter(|_| failed) else { return Ok(Vec::new()) };
        let before = row.extents.clone().unwrap_or_default();
        let mut lines = lines_of_request(&self.archive.segments, &before, &id)?;
        lines.extend(row.into_lines());
        Ok(lines)
    }
}

/// The lines of one request, in the order written.
fn lines_of_request(segments: &Segments, extents: &Extents, id: &RequestId) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for extent in extents.iter() {
        let failed = |source| Error::ReadSegment { path: segments.path(extent.segment, Form::Plain), source };
        let Some(mut file) = segments.read(extent.segment).map_err(failed)? else { continue };
        let len = usize::try_from(extent.len).unwrap_or(usize::MAX);
        for row in file.read(extent.offset, len).map_err(failed)?.split(|b| *b == b'\n') {
            // Extents contain rows of other requests too.
            let Some(text) = std::str::from_utf8(row).ok().filter(|text| text.contains(id.as_str())) else { continue };
            let row = Row::decode(text.as_bytes()).filter(|row| row.request_id.as_ref() == Some(id));
            lines.extend(row.map(Row::into_lines).unwrap_or_default());
        }
    }
    Ok(lines)
}
