//! One record as one JSON line: the field names of the contract's logs (4.6), and a few of our own without the prefix.
//!
//! Pure. `Record` says what a row is: `begin` and `end` of an invocation, with the platform's lines at that time, or a
//! `line` of its log. A row is found by its position; an `end` row carries all that is known of its invocation, also where its lines are, so that an invocation
//! can be shown from its last row alone.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use types::{FunctionKey, InstanceId, RequestId, RunStatus, VersionName};

use crate::clock;
use crate::extents::Extents;
use crate::lines::{Line, Stream};
use crate::live::Request;
use crate::record::{End, LineRecord, Record};

/// `SCF_StatusCode` while a run lasts (contract 4.5).
const RUNNING: u16 = 202;

/// What an index wants of every row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) kind: Kind,
    pub(crate) time_ms: i64,
    pub(crate) namespace: &'a str,
    pub(crate) function: &'a str,
}

impl<'a> Head<'a> {
    /// Reads the first fields, in the order in which [`Row::encode`] writes them, which is far cheaper than reading the
    /// whole row as JSON. Names have no character that JSON escapes. `None` for anything else.
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

/// What a row is.
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
    /// The alias that the caller named; empty when it named the version.
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
    /// The line; of an end, what the caller got.
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

/// What an `end` row says of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// `None`: Sampan stopped while it ran.
    pub(crate) status: Option<RunStatus>,
    pub(crate) duration_us: u64,
    pub(crate) memory_bytes: u64,
}

impl<'a> Row<'a> {
    fn of_request(request: &'a Request, kind: Kind, time_ms: i64) -> Self {
        let begin = &request.begin;
        Self {
            kind,
            time_ms,
            namespace: begin.function.key.namespace.as_str().into(),
            function: begin.function.key.name.as_str().into(),
            version: begin.version,
            alias: alias(&begin.qualifier, begin.version).into(),
            request_id: Some(begin.request_id.clone()),
            start_ms: Some(begin.start_ms),
            kind_of_line: "Platform".into(),
            level: "INFO".into(),
            message: "".into(),
            status: Some(RUNNING),
            duration_ms: None,
            memory_bytes: None,
            retry_num: None,
            bill_duration_ms: None,
            instance: None,
            stream: None,
            lines: Cow::Borrowed(&[]),
            extents: None,
        }
    }

    fn of_begin(request: &'a Request, opening: &'a String) -> Self {
        let lines = if opening.is_empty() { &[] } else { std::slice::from_ref(opening) };
        Self { lines: lines.into(), ..Self::of_request(request, Kind::Begin, request.begin.start_ms) }
    }

    fn of_end(request: &'a Request, end: &'a End, extents: Extents) -> Self {
        Self {
            message: end.ret_msg.as_str().into(),
            status: Some(end.status.code()),
            duration_ms: Some(end.duration_us as f64 / 1_000.0),
            memory_bytes: Some(end.memory_bytes),
            retry_num: Some(0),
            bill_duration_ms: Some(end.bill_duration_ms),
            lines: end.closing.as_slice().into(),
            extents: Some(extents),
            ..Self::of_request(request, Kind::End, clock::now_ms())
        }
    }

    fn of_line(line: &'a LineRecord) -> Self {
        let request = line.request.as_deref();
        Self {
            kind: Kind::Line,
            time_ms: line.time_ms,
            namespace: line.function.key.namespace.as_str().into(),
            function: line.function.key.name.as_str().into(),
            version: line.version,
            alias: request.map_or("", |r| alias(&r.begin.qualifier, r.begin.version)).into(),
            request_id: line.request_id.clone(),
            start_ms: request.map(|r| r.begin.start_ms),
            kind_of_line: if line.stream == Stream::Platform { "Platform" } else { "Custom" }.into(),
            level: "INFO".into(),
            message: line.text.as_ref().into(),
            status: request.map(|_| RUNNING),
            duration_ms: None,
            memory_bytes: None,
            retry_num: None,
            bill_duration_ms: None,
            instance: line.instance.clone(),
            stream: Some(line.stream).filter(|s| *s != Stream::Platform),
            lines: Cow::Borrowed(&[]),
            extents: None,
        }
    }

    /// The row of a record; an end takes where the rows before it are.
    pub(crate) fn of(record: &'a Record, extents: Extents) -> Self {
        match record {
            Record::Begin(request, opening) => Self::of_begin(request, opening),
            Record::Line(line) => Self::of_line(line),
            Record::End(request, end) => Self::of_end(request, end, extents),
        }
    }

    /// The end of an invocation that was running when Sampan stopped.
    pub(crate) fn interrupted(key: &'a FunctionKey, started: &Started<'a>, extents: Extents, now_ms: i64) -> Self {
        Self {
            kind: Kind::End,
            time_ms: now_ms,
            namespace: key.namespace.as_str().into(),
            function: key.name.as_str().into(),
            version: started.version,
            alias: alias(started.qualifier, started.version).into(),
            request_id: Some(started.request_id.clone()),
            start_ms: Some(started.start_ms),
            kind_of_line: "Platform".into(),
            level: "INFO".into(),
            message: "the platform was stopped while this invocation ran".into(),
            status: None,
            duration_ms: Some(0.0),
            memory_bytes: Some(0),
            retry_num: Some(0),
            bill_duration_ms: Some(0),
            instance: None,
            stream: None,
            lines: Cow::Borrowed(&[]),
            extents: Some(extents),
        }
    }

    /// Appends the row and its newline to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(&mut *out, self).expect("a row has only text keys, and writing to a Vec cannot fail");
        out.push(b'\n');
    }

    /// Reads a row; `None` for anything that is none (a torn line, another program's).
    pub(crate) fn decode(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The function, when its names are valid.
    pub(crate) fn key(&self) -> Option<FunctionKey> {
        Some(FunctionKey { namespace: self.namespace.parse().ok()?, name: self.function.parse().ok()? })
    }

    /// What the caller named.
    pub(crate) fn qualifier(&self) -> String {
        if self.alias.is_empty() { self.version.to_string() } else { self.alias.as_ref().to_owned() }
    }

    /// How the run ended; `None` for a row that is no end.
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
        let qualifier = self.qualifier();
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

/// What is known of an invocation that has begun.
pub(crate) struct Started<'a> {
    pub(crate) request_id: &'a RequestId,
    pub(crate) version: VersionName,
    pub(crate) qualifier: &'a str,
    pub(crate) start_ms: i64,
}

/// The qualifier where it is an alias, else nothing.
fn alias(qualifier: &str, version: VersionName) -> &str {
    let names_version = match version {
        VersionName::Latest => qualifier == "$LATEST",
        VersionName::Number(_) => qualifier.bytes().all(|b| b.is_ascii_digit()),
    };
    if names_version { "" } else { qualifier }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::Begin;
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

    pub(crate) fn request() -> Request {
        let begin = Begin {
            request_id: RequestId::random(),
            function: function("hello"),
            version: VersionName::Latest,
            qualifier: "$DEFAULT".into(),
            start_ms: 1_700_000_000_000,
            opening: String::new(),
        };
        Request::new(begin, 1_000)
    }

    /// The end rows of runs by their ids and starts.
    pub(crate) fn ended_rows(runs: &[(u128, i64)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (id, start_ms) in runs {
            let id = format!("{id:032x}");
            let parts = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]];
            let request_id: RequestId = parts.join("-").parse().unwrap();
            let started = Started {
                request_id: &request_id,
                version: VersionName::Latest,
                qualifier: "prod",
                start_ms: *start_ms,
            };
            Row::interrupted(&function("hello").key, &started, Extents::default(), *start_ms).encode(&mut bytes);
        }
        bytes
    }

    fn encoded(row: &Row<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        row.encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_line_has_the_fields_of_the_contract() {
        let request = Arc::new(request());
        let record = Record::Line(LineRecord {
            time_ms: 5,
            function: request.begin.function.clone(),
            version: VersionName::Latest,
            request_id: Some(request.begin.request_id.clone()),
            request: Some(request.clone()),
            instance: Some(InstanceId::random()),
            stream: Stream::Stderr,
            text: "a \"quoted\" line\u{1}".into(),
            _share: None,
        });
        let bytes = encoded(&Row::of(&record, Extents::default()));
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["SCF_FunctionName"], "hello");
        assert_eq!(json["SCF_Namespace"], "default");
        assert_eq!(json["SCF_Qualifier"], "$LATEST");
        assert_eq!(json["SCF_Alias"], "$DEFAULT");
        assert_eq!(json["SCF_RequestId"], request.begin.request_id.as_str());
        assert_eq!(json["SCF_Type"], "Custom");
        assert_eq!(json["SCF_Level"], "INFO");
        assert_eq!(json["SCF_StatusCode"], 202);
        assert_eq!(json["SCF_Message"], "a \"quoted\" line\u{1}");
        let line = Row::decode(&bytes).unwrap().into_lines().remove(0);
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
            let request = Arc::new(request());
            let closing = vec!["END".to_owned(), "Report".to_owned()];
            let end =
                End { status, ret_msg: ret_msg.clone(), duration_us, bill_duration_ms: bill, memory_bytes: memory, closing };
            let mut extents = Extents::default();
            extents.add(crate::extents::Position { segment: 3, offset: 9 }, 27);
            let record = Record::End(request.clone(), end);
            let bytes = encoded(&Row::of(&record, extents.clone()));
            prop_assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 1);
            let row = Row::decode(&bytes).unwrap();
            prop_assert_eq!(row.outcome(), Some(Outcome { status: Some(status), duration_us, memory_bytes: memory }));
            prop_assert_eq!(row.message.as_ref(), ret_msg);
            prop_assert_eq!(row.qualifier(), "$DEFAULT");
            prop_assert_eq!(row.key(), Some(request.begin.function.key.clone()));
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
