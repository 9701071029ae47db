//! One record as a JSON line: the field names of the contract's logs (4.6), and a few of our own
//! without the prefix. Pure.
//!
//! `Record` is the kind of a row: `begin` and `end` of an invocation, with the platform's lines at
//! that time, or a `line` of its log. A row is found by its position; an `end` row carries all that
//! is known of its invocation, also where its lines are, so that an invocation can be shown from
//! its last row alone. Rows are written by [`crate::encode`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use types::{FunctionKey, InstanceId, Qualifier, RequestId, RunStatus, VersionName};

use crate::extents::Extents;
use crate::lines::{Line, Stream};
use crate::run::End;

/// `SCF_StatusCode` of a running invocation (contract 4.5).
pub(crate) const RUNNING: u16 = 202;

/// The fields of every row that an index needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) kind: Kind,
    pub(crate) time_ms: i64,
    pub(crate) namespace: &'a str,
    pub(crate) function: &'a str,
}

impl<'a> Head<'a> {
    /// Reads the first fields, in the order in which [`Row::encode`] writes them, which is far
    /// cheaper than parsing the whole row as JSON. Names have no character that JSON escapes.
    /// `None` for other texts.
    pub(crate) fn of(row: &'a [u8]) -> Option<Self> {
        let (kind, rest) = between(row, b"{\"Record\":\"", b"\"")?;
        let (time, rest) = between(rest, b",\"SCF_LogTime\":", b",")?;
        let (namespace, rest) = between(rest, b"\"SCF_Namespace\":\"", b"\"")?;
        let (function, _) = between(rest, b",\"SCF_FunctionName\":\"", b"\"")?;
        let kind = match kind {
            "begin" => Kind::Begin,
            "line" => Kind::Line,
            "end" => Kind::End,
            _ => return None,
        };
        Some(Self { kind, time_ms: time.parse().ok()?, namespace, function })
    }
}

/// The text that follows `before`, up to `after`, and what comes behind that.
fn between<'a>(bytes: &'a [u8], before: &[u8], after: &[u8; 1]) -> Option<(&'a str, &'a [u8])> {
    let bytes = bytes.strip_prefix(before)?;
    let end = bytes.iter().position(|byte| *byte == after[0])?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// Kind of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Begin,
    Line,
    End,
}

/// A row. Absent fields are not written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row<'a> {
    #[serde(rename = "Record")]
    pub(crate) kind: Kind,
    /// When the row was made, Unix milliseconds.
    #[serde(rename = "SCF_LogTime")]
    pub(crate) time_ms: i64,
    #[serde(rename = "SCF_Namespace", borrow)]
    namespace: Cow<'a, str>,
    #[serde(rename = "SCF_FunctionName", borrow)]
    function: Cow<'a, str>,
    /// The version that ran.
    #[serde(rename = "SCF_Qualifier")]
    pub(crate) version: VersionName,
    /// The alias in the call; empty for a version.
    #[serde(rename = "SCF_Alias", borrow, default, skip_serializing_if = "str::is_empty")]
    alias: Cow<'a, str>,
    #[serde(rename = "SCF_RequestId", default, skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<RequestId>,
    /// When the invocation began, Unix milliseconds.
    #[serde(rename = "SCF_StartTime", default, skip_serializing_if = "Option::is_none")]
    pub(crate) start_ms: Option<i64>,
    /// `Platform` or `Custom` (the function's own output).
    #[serde(rename = "SCF_Type", borrow)]
    kind_of_line: Cow<'a, str>,
    #[serde(rename = "SCF_Level", borrow)]
    level: Cow<'a, str>,
    /// The line; in an end row, the result returned to the caller.
    #[serde(rename = "SCF_Message", borrow, default)]
    pub(crate) message: Cow<'a, str>,
    /// 202 while it runs; absent from the end of an interrupted one.
    #[serde(rename = "SCF_StatusCode", default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Milliseconds.
    #[serde(rename = "SCF_Duration", default, skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    /// Bytes.
    #[serde(rename = "SCF_MemUsage", default, skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    #[serde(rename = "SCF_RetryNum", default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_num: Option<u32>,
    #[serde(rename = "BillDuration", default, skip_serializing_if = "Option::is_none")]
    pub(crate) bill_duration_ms: Option<u64>,
    #[serde(rename = "Instance", default, skip_serializing_if = "Option::is_none")]
    instance: Option<InstanceId>,
    /// `stdout` or `stderr`; absent from platform lines.
    #[serde(rename = "Stream", default, skip_serializing_if = "Option::is_none")]
    stream: Option<Stream>,
    /// The platform's lines of a beginning or an end, in order.
    #[serde(rename = "Lines", default, skip_serializing_if = "no_lines")]
    pub(crate) lines: Cow<'a, [String]>,
    /// Where the rows before an end are: segment, offset and length before compression.
    #[serde(rename = "Extents", default, skip_serializing_if = "Option::is_none")]
    pub(crate) extents: Option<Extents>,
}

fn no_lines(lines: &[String]) -> bool {
    lines.is_empty()
}

/// Outcome of a run in its `end` row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// `None`: Sampan stopped while it ran.
    pub(crate) status: Option<RunStatus>,
    pub(crate) duration_us: u64,
    pub(crate) memory_bytes: u64,
}

impl From<&End> for Outcome {
    fn from(end: &End) -> Self {
        Self { status: Some(end.status), duration_us: end.duration_us, memory_bytes: end.memory_bytes }
    }
}

impl<'a> Row<'a> {
    /// Parses a row; `None` for anything else (a torn line, another program's).
    pub(crate) fn decode(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The function, when its names are valid.
    pub(crate) fn key(&self) -> Option<FunctionKey> {
        Some(FunctionKey { namespace: self.namespace.parse().ok()?, name: self.function.parse().ok()? })
    }

    /// The qualifier in the call.
    pub(crate) fn qualifier(&self) -> Qualifier {
        match &*self.alias {
            "" => Qualifier::Version(self.version),
            alias => Qualifier::Alias(alias.into()),
        }
    }

    /// The run's outcome; `None` for other rows than ends.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        (self.kind == Kind::End).then(|| Outcome {
            status: self.status.and_then(|code| RunStatus::try_from(code).ok()),
            duration_us: (self.duration_ms.unwrap_or(0.0) * 1_000.0).round() as u64,
            memory_bytes: self.memory_bytes.unwrap_or(0),
        })
    }

    /// The row's lines of output.
    pub(crate) fn into_lines(self) -> Vec<Line> {
        let Some(function) = self.key() else { return Vec::new() };
        let qualifier = self.qualifier().to_string();
        let line = |text: String| Line {
            time_ms: self.time_ms,
            function: function.clone(),
            version: self.version,
            qualifier: qualifier.clone(),
            request_id: self.request_id.clone(),
            instance: self.instance.clone(),
            stream: self.stream.unwrap_or(Stream::Platform),
            text,
        };
        match self.kind {
            Kind::Line => vec![line(self.message.into_owned())],
            Kind::Begin | Kind::End => self.lines.into_owned().into_iter().map(line).collect(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::callee::Callee;
    use crate::encode;
    use crate::live::Request;
    use crate::record::LineRecord;
    use crate::run::Begin;
    use proptest::prelude::*;
    use std::sync::Arc;
    use types::{FunctionId, FunctionKind, FunctionRecord};

    pub(crate) fn function(name: &str) -> Arc<FunctionRecord> {
        Arc::new(FunctionRecord {
            id: FunctionId::random(),
            key: FunctionKey { namespace: "default".parse().unwrap(), name: name.parse().unwrap() },
            kind: FunctionKind::Event,
            protocol: None,
            async_run: false,
            trace: false,
            tags: Vec::new(),
            added_ms: 0,
            modified_ms: 0,
        })
    }

    pub(crate) fn begin() -> Begin {
        Begin {
            request_id: RequestId::random(),
            function: function("hello"),
            version: VersionName::Latest,
            qualifier: Qualifier::Alias("$DEFAULT".into()),
            start_ms: 1_700_000_000_000,
            start_line: false,
            retry_num: 0,
        }
    }

    /// An invocation whose beginning waits in a queue.
    pub(crate) fn request() -> Request {
        Request::new(begin(), 1_000, true)
    }

    pub(crate) fn ended() -> End {
        End {
            status: RunStatus::Success,
            ret_msg: String::new(),
            duration_us: 7,
            bill_duration_ms: 1,
            memory_bytes: 9,
            closing: Vec::new(),
            report_memory_mb: None,
        }
    }

    /// The end rows of runs by their ids and starts.
    pub(crate) fn ended_rows(runs: &[(u128, i64)]) -> Vec<u8> {
        let callee = Callee::new(function("hello").key.clone(), VersionName::Latest, Qualifier::Alias("prod".into()));
        let mut rows = String::new();
        for (id, start_ms) in runs {
            let id = format!("{id:032x}");
            let parts = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]];
            let id = parts.join("-").parse().unwrap();
            encode::interrupted(&mut rows, &callee, &id, *start_ms, &Extents::default(), *start_ms);
        }
        rows.into_bytes()
    }

    #[test]
    fn a_line_has_the_fields_of_the_contract() {
        let request = Arc::new(request());
        let begin = &request.begin;
        let line = LineRecord {
            time_ms: 5,
            function: begin.function.clone(),
            version: VersionName::Latest,
            request_id: Some(begin.request_id.clone()),
            request: Some(request.clone()),
            instance: Some(InstanceId::random()),
            stream: Stream::Stderr,
            text: "a \"quoted\" line\u{1}".into(),
            _share: None,
        };
        let callee = Callee::new(begin.function.key.clone(), begin.version, begin.qualifier.clone());
        let mut row = String::new();
        encode::line(&mut row, &callee, &line);
        let json: serde_json::Value = serde_json::from_str(&row).unwrap();
        assert_eq!(json["SCF_FunctionName"], "hello");
        assert_eq!(json["SCF_Namespace"], "default");
        assert_eq!(json["SCF_Qualifier"], "$LATEST");
        assert_eq!(json["SCF_Alias"], "$DEFAULT");
        assert_eq!(json["SCF_RequestId"], request.begin.request_id.as_str());
        assert_eq!(json["SCF_Type"], "Custom");
        assert_eq!(json["SCF_Level"], "INFO");
        assert_eq!(json["SCF_StatusCode"], 202);
        assert_eq!(json["SCF_Message"], "a \"quoted\" line\u{1}");
        let line = Row::decode(row.as_bytes()).unwrap().into_lines().remove(0);
        assert_eq!((line.stream, line.text.as_str()), (Stream::Stderr, "a \"quoted\" line\u{1}"));
    }

    #[test]
    fn the_head_of_a_row_is_read_without_the_rest() {
        let rows = ended_rows(&[(7, 5)]);
        let wanted = Head { kind: Kind::End, time_ms: 5, namespace: "default", function: "hello" };
        assert_eq!(Head::of(&rows), Some(wanted));
        let names_end = std::str::from_utf8(&rows).unwrap().find("hello\"").unwrap() + "hello".len();
        for len in 0..=names_end {
            assert_eq!(Head::of(&rows[..len]), None);
        }
    }

    #[test]
    fn rows_of_others_are_no_rows() {
        for bytes in [&b""[..], b"{", b"{}", b"[1]", b"null", b"{\"Record\":\"line\"}"] {
            assert_eq!(Row::decode(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn ends_come_back_as_they_were(
            ret_msg in ".{0,50}", duration_us in 0u64..100_000_000_000, bill in any::<u64>(), memory in any::<u64>(),
            status in prop::sample::select(RunStatus::ALL),
        ) {
            let begin = begin();
            let closing = vec!["END".to_owned(), "Report".to_owned()];
            let (bill_duration_ms, memory_bytes) = (bill, memory);
            let end = End {
                status, ret_msg: ret_msg.clone(), duration_us, bill_duration_ms, memory_bytes, closing, ..ended()
            };
            let mut extents = Extents::default();
            extents.add(crate::extents::Position { segment: 3, offset: 9 }, 27);
            let callee = Callee::new(begin.function.key.clone(), begin.version, begin.qualifier.clone());
            let mut text = String::new();
            encode::end(&mut text, &callee, &begin, &end, &extents, 5);
            let bytes = text.into_bytes();
            prop_assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 1);
            let row = Row::decode(&bytes).unwrap();
            prop_assert_eq!(row.outcome(), Some(Outcome { status: Some(status), duration_us, memory_bytes: memory }));
            prop_assert_eq!(row.message.as_ref(), ret_msg);
            prop_assert_eq!(row.qualifier(), begin.qualifier);
            prop_assert_eq!(row.key(), Some(begin.function.key.clone()));
            prop_assert_eq!((row.bill_duration_ms, &row.extents), (Some(bill), &Some(extents)));
            let lines = row.into_lines();
            prop_assert!(lines.iter().all(|line| line.stream == Stream::Platform && line.instance.is_none()));
            prop_assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["END", "Report"]);
        }

        #[test]
        fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Row::decode(&bytes);
        }
    }
}
