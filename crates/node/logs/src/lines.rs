//! Single lines across invocations: what a follower sees, and pages of them with a cursor. Reading is blocking.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use types::{FunctionKey, FunctionName, InstanceId, Namespace, RequestId, VersionName};

use crate::extents::{Extents, Position};
use crate::record::{LineRecord, Record};
use crate::row::Row;
use crate::segments::{Form, Segments};
use crate::{Config, Error};

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The function's standard output.
    Stdout,
    /// The function's standard error.
    Stderr,
    /// The platform.
    Platform,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was read or made, Unix milliseconds.
    pub time_ms: i64,
    /// The function.
    pub function: FunctionKey,
    /// The version that runs.
    pub version: VersionName,
    /// What the caller of the request named; the version for lines of no request.
    pub qualifier: String,
    /// The request it belongs to; `None` for output between requests and of instances with several at once.
    pub request_id: Option<RequestId>,
    /// The instance that wrote it; `None` for the platform's lines of a request.
    pub instance: Option<InstanceId>,
    /// Where it comes from.
    pub stream: Stream,
    /// The line without its newline.
    pub text: String,
}

/// Which lines are wanted; conditions are joined by AND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Of this namespace.
    pub namespace: Namespace,
    /// Of this function.
    pub function: Option<FunctionName>,
    /// Of requests that named this alias, or of this version.
    pub qualifier: Option<String>,
    /// Of this request.
    pub request_id: Option<RequestId>,
    /// Of this time or later, Unix milliseconds.
    pub start_ms: i64,
}

impl Filter {
    /// Whether a line is wanted.
    pub(crate) fn matches(&self, line: &Line) -> bool {
        line.time_ms >= self.start_ms
            && line.function.namespace == self.namespace
            && self.function.as_ref().is_none_or(|name| *name == line.function.name)
            && self.qualifier.as_ref().is_none_or(|q| *q == line.qualifier || *q == line.version.to_string())
            && self.request_id.as_ref().is_none_or(|id| Some(id) == line.request_id.as_ref())
    }
}

/// A place behind a line, to go on from. Its text form is opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(Position);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.segment, self.0.offset)
    }
}

impl FromStr for Cursor {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::InvalidCursor { text: text.chars().take(100).collect() };
        let (segment, offset) = text.split_once('-').ok_or_else(invalid)?;
        let number = |part: &str| part.parse().map_err(|_| invalid());
        Ok(Self(Position { segment: number(segment)?, offset: number(offset)? }))
    }
}

/// Some lines, in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinePage {
    /// The lines.
    pub lines: Vec<Line>,
    /// Where to go on; the same place when nothing new is there.
    pub next: Cursor,
    /// True when the log may have more lines already.
    pub more: bool,
}

/// What a follower gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// A line, as soon as it is written.
    Line(Line),
    /// The follower was too slow: this many lines of all functions were skipped here.
    Skipped(u64),
}

impl LineRecord {
    /// The line as a follower sees it.
    pub(crate) fn to_line(&self) -> Line {
        Line {
            time_ms: self.time_ms,
            function: self.function.key.clone(),
            version: self.version,
            qualifier: self.request.as_ref().map_or_else(|| self.version.to_string(), |r| r.begin.qualifier.clone()),
            request_id: self.request_id.clone(),
            instance: self.instance.clone(),
            stream: self.stream,
            text: self.text.as_ref().to_owned(),
        }
    }
}

impl Record {
    /// The record's lines as a follower sees them.
    pub(crate) fn to_lines(&self) -> Vec<Line> {
        match self {
            Self::Line(line) => vec![line.to_line()],
            Self::Begin(..) | Self::End(..) => Row::of(self, Extents::default()).into_lines(),
        }
    }
}

/// Reads up to `limit` wanted lines behind `after`, or from the filter's time on; more when the first row alone has more.
/// Stops early, with `more`, when it has read `scan_bytes_max`.
pub(crate) fn read(
    segments: &Segments,
    filter: &Filter,
    after: Option<Cursor>,
    limit: usize,
    config: &Config,
) -> Result<LinePage, Error> {
    let limit = limit.min(config.page_len_max);
    let mut position = after.map_or(Position { segment: 0, offset: 0 }, |cursor| cursor.0);
    let mut left_bytes = config.scan_bytes_max;
    let mut lines = Vec::new();
    for (number, segment) in segments.all() {
        if number < position.segment || segment.plain_bytes == 0 {
            continue;
        }
        if number > position.segment {
            position = Position { segment: number, offset: 0 };
        }
        if segment.newest_ms < filter.start_ms {
            position.offset = position.offset.max(segment.plain_bytes);
            continue;
        }
        let failed = |source| Error::ReadSegment { path: segments.path(number, Form::Plain), source };
        let Some(mut file) = segments.read(number).map_err(failed)? else { continue };
        loop {
            let rows = file.rows_at(position.offset).map_err(failed)?;
            if rows.is_empty() {
                break;
            }
            for row in rows.split_inclusive(|b| *b == b'\n') {
                if lines.len() >= limit || left_bytes == 0 {
                    return Ok(LinePage { lines, next: Cursor(position), more: true });
                }
                let of_row = Row::decode(row).map_or_else(Vec::new, Row::into_lines);
                let wanted: Vec<Line> = of_row.into_iter().filter(|line| filter.matches(line)).collect();
                // The lines of a row are one place, so they stay together.
                if !lines.is_empty() && lines.len() + wanted.len() > limit {
                    return Ok(LinePage { lines, next: Cursor(position), more: true });
                }
                left_bytes = left_bytes.saturating_sub(row.len() as u64);
                position.offset += row.len() as u64;
                lines.extend(wanted);
            }
        }
    }
    Ok(LinePage { lines, next: Cursor(position), more: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_go_back_and_forth_and_others_are_refused() {
        let cursor: Cursor = "7-123".parse().unwrap();
        assert_eq!(cursor.to_string(), "7-123");
        for bad in ["", "7", "7-", "-", "a-b", "7-1-2", "99999999999999999999-0"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
