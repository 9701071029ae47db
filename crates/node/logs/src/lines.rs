//! Single lines across invocations: filters, followers, and pages with a cursor.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use types::{FunctionKey, FunctionName, InstanceId, Namespace, RequestId, VersionName};

use crate::Error;
use crate::extents::Position;

/// Source of a line.
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
    /// Time of reading or creation, Unix milliseconds.
    pub time_ms: i64,
    /// The function.
    pub function: FunctionKey,
    /// The version that runs.
    pub version: VersionName,
    /// The qualifier of the request; the version for lines outside requests.
    pub qualifier: String,
    /// The request it belongs to; `None` for output between requests and of instances with several
    /// at once.
    pub request_id: Option<RequestId>,
    /// The instance that wrote it; `None` for the platform's lines of a request.
    pub instance: Option<InstanceId>,
    /// Its source.
    pub stream: Stream,
    /// The line without its newline.
    pub text: String,
}

impl Line {
    fn is_of_instance(&self, prefix: &str) -> bool {
        self.instance.as_ref().is_some_and(|id| id.as_str().starts_with(prefix))
    }
}

/// A filter of lines; conditions are joined by AND.
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
    /// Of instances whose id begins so.
    pub instance: Option<String>,
    /// Outside requests: printed between two, at the start, or by an instance that serves several
    /// at once.
    pub outside_requests: bool,
    /// Of failed requests; their lines come with the page that has their end.
    pub failed: bool,
    /// Of this time or later, Unix milliseconds.
    pub start_ms: i64,
    /// Of this time or earlier, Unix milliseconds.
    pub end_ms: i64,
}

impl Filter {
    /// All lines of a namespace.
    pub fn all(namespace: Namespace) -> Self {
        Self {
            namespace,
            function: None,
            qualifier: None,
            request_id: None,
            instance: None,
            outside_requests: false,
            failed: false,
            start_ms: i64::MIN,
            end_ms: i64::MAX,
        }
    }

    /// Whether a line matches.
    pub(crate) fn matches(&self, line: &Line) -> bool {
        (self.start_ms..=self.end_ms).contains(&line.time_ms)
            && line.function.namespace == self.namespace
            && self.function.as_ref().is_none_or(|name| *name == line.function.name)
            && self.qualifier.as_ref().is_none_or(|q| *q == line.qualifier || *q == line.version.to_string())
            && self.request_id.as_ref().is_none_or(|id| Some(id) == line.request_id.as_ref())
            && self.instance.as_ref().is_none_or(|prefix| line.is_of_instance(prefix))
            && !(self.outside_requests && line.request_id.is_some())
    }
}

/// A position after a line, to continue from. Its text form is opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub(crate) Position);

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

/// A page of lines in the order of their times; those of one millisecond in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinePage {
    /// The lines.
    pub lines: Vec<Line>,
    /// The cursor to continue from; unchanged when there is nothing new. For the newest lines:
    /// after all of them.
    pub next: Cursor,
    /// Whether the log may have more lines: after these, or before the newest ones.
    pub more: bool,
}

impl LinePage {
    /// Orders rows as they were written by the times of their lines: an end that joined its
    /// beginning in the queue is written with it, before what other requests printed meanwhile.
    pub(crate) fn in_order(mut lines: Vec<Line>, next: Cursor, more: bool) -> Self {
        lines.sort_by_key(|line| line.time_ms);
        Self { lines, next, more }
    }
}

/// An item of a follower's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// A line, as soon as it is written.
    Line(Line),
    /// The follower was too slow: this many lines of all functions were skipped here.
    Skipped(u64),
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
