//! Encodes records as rows of JSON, field by field: most of a request's cost in the log is this
//! text. The field names and their order are those of [`crate::row::Row`], which parses them.

use types::RequestId;

use crate::callee::Callee;
use crate::extents::Extents;
use crate::lines::Stream;
use crate::platform_lines::{self, number};
use crate::record::LineRecord;
use crate::row::RUNNING;
use crate::run::{Begin, End};

/// Durations up to this many microseconds have at most 15 digits, which an `f64` of milliseconds
/// keeps.
const EXACT_US_MAX: u64 = 999_999_999_999_999;

/// The row of a beginning.
pub(crate) fn begin(out: &mut String, callee: &Callee, begin: &Begin) {
    head(out, "begin", begin.start_ms, callee);
    request(out, &begin.request_id);
    start_time(out, begin.start_ms);
    out.push_str(r#","SCF_Type":"Platform","SCF_Level":"INFO","SCF_Message":"","SCF_StatusCode":"#);
    number(out, RUNNING);
    if begin.retry_num > 0 {
        out.push_str(r#","SCF_RetryNum":"#);
        number(out, begin.retry_num);
    }
    if begin.start_line {
        out.push_str(r#","Lines":[""#);
        platform_lines::start(out, &begin.request_id);
        out.push_str(r#""]"#);
    }
    out.push_str("}\n");
}

/// The row of an end; `extents` are those of the rows before it.
pub(crate) fn end(out: &mut String, callee: &Callee, begin: &Begin, end: &End, extents: &Extents, time_ms: i64) {
    head(out, "end", time_ms, callee);
    request(out, &begin.request_id);
    start_time(out, begin.start_ms);
    out.push_str(r#","SCF_Type":"Platform","SCF_Level":"INFO","SCF_Message":"#);
    string(out, &end.ret_msg);
    out.push_str(r#","SCF_StatusCode":"#);
    number(out, end.status.code());
    out.push_str(r#","SCF_Duration":"#);
    milliseconds(out, end.duration_us);
    out.push_str(r#","SCF_MemUsage":"#);
    number(out, end.memory_bytes);
    out.push_str(r#","SCF_RetryNum":"#);
    number(out, begin.retry_num);
    out.push_str(r#","BillDuration":"#);
    number(out, end.bill_duration_ms);
    lines_of_end(out, &begin.request_id, end);
    self::extents(out, extents);
    out.push_str("}\n");
}

/// The end of an invocation that was running when Sampan stopped.
pub(crate) fn interrupted(
    out: &mut String,
    callee: &Callee,
    id: &RequestId,
    start_ms: i64,
    extents: &Extents,
    time_ms: i64,
) {
    head(out, "end", time_ms, callee);
    request(out, id);
    start_time(out, start_ms);
    out.push_str(r#","SCF_Type":"Platform","SCF_Level":"INFO","#);
    out.push_str(r#""SCF_Message":"the platform was stopped while this invocation ran","#);
    out.push_str(r#""SCF_Duration":0.0,"SCF_MemUsage":0,"SCF_RetryNum":0,"BillDuration":0"#);
    self::extents(out, extents);
    out.push_str("}\n");
}

/// The row of a line of output, or of the platform.
pub(crate) fn line(out: &mut String, callee: &Callee, line: &LineRecord) {
    head(out, "line", line.time_ms, callee);
    if let Some(id) = &line.request_id {
        request(out, id);
    }
    if let Some(request) = &line.request {
        start_time(out, request.begin.start_ms);
    }
    let kind = if line.stream == Stream::Platform { "Platform" } else { "Custom" };
    text(out, r#","SCF_Type":""#, kind);
    out.push_str(r#","SCF_Level":"INFO","SCF_Message":"#);
    string(out, &line.text);
    if line.request.is_some() {
        out.push_str(r#","SCF_StatusCode":"#);
        number(out, RUNNING);
    }
    if let Some(instance) = &line.instance {
        text(out, r#","Instance":""#, instance.as_str());
    }
    match line.stream {
        Stream::Stdout => out.push_str(r#","Stream":"stdout""#),
        Stream::Stderr => out.push_str(r#","Stream":"stderr""#),
        Stream::Platform => {}
    }
    out.push_str("}\n");
}

fn head(out: &mut String, kind: &str, time_ms: i64, callee: &Callee) {
    text(out, r#"{"Record":""#, kind);
    out.push_str(r#","SCF_LogTime":"#);
    number(out, time_ms);
    out.push(',');
    out.push_str(&callee.fields);
}

fn request(out: &mut String, id: &RequestId) {
    text(out, r#","SCF_RequestId":""#, id.as_str());
}

fn start_time(out: &mut String, start_ms: i64) {
    out.push_str(r#","SCF_StartTime":"#);
    number(out, start_ms);
}

fn lines_of_end(out: &mut String, request: &RequestId, end: &End) {
    if end.closing.is_empty() && end.report_memory_mb.is_none() {
        return;
    }
    out.push_str(r#","Lines":["#);
    for (n, line) in end.closing.iter().enumerate() {
        separate(out, n);
        string(out, line);
    }
    if let Some(memory_mb) = end.report_memory_mb {
        separate(out, end.closing.len());
        out.push('"');
        platform_lines::end(out, request);
        out.push_str(r#"",""#);
        platform_lines::report(out, request, end, memory_mb);
        out.push('"');
    }
    out.push(']');
}

fn extents(out: &mut String, extents: &Extents) {
    out.push_str(r#","Extents":["#);
    for (n, extent) in extents.iter().enumerate() {
        separate(out, n);
        out.push('[');
        number(out, extent.segment);
        out.push(',');
        number(out, extent.offset);
        out.push(',');
        number(out, extent.len);
        out.push(']');
    }
    out.push(']');
}

fn separate(out: &mut String, before: usize) {
    if before > 0 {
        out.push(',');
    }
}

/// Writes `before`, which ends with a quote, a text that needs no JSON escapes, and a quote.
fn text(out: &mut String, before: &str, text: &str) {
    out.push_str(before);
    out.push_str(text);
    out.push('"');
}

/// Any text, quoted.
fn string(out: &mut String, text: &str) {
    if is_plain(text.as_bytes()) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).expect("a text is always JSON"));
    }
}

/// Whether JSON escapes nothing of it. Checks all bytes, which vector instructions do faster than
/// stopping early.
fn is_plain(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |escaped, byte| escaped | (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\'))
}

/// Microseconds as JSON writes an `f64` of milliseconds.
fn milliseconds(out: &mut String, us: u64) {
    if us > EXACT_US_MAX {
        out.push_str(&serde_json::Value::from(us as f64 / 1_000.0).to_string());
        return;
    }
    number(out, us / 1_000);
    out.push('.');
    let thousandths = us % 1_000;
    let digits = [thousandths / 100, thousandths / 10 % 10, thousandths % 10];
    let len = digits.iter().rposition(|digit| *digit != 0).map_or(1, |last| last + 1);
    digits[..len].iter().for_each(|digit| number(out, *digit));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extents::Position;
    use crate::row::Row;
    use crate::row::tests::{ended, request};
    use proptest::prelude::*;
    use std::sync::Arc;
    use types::{InstanceId, Qualifier, RunStatus, VersionName};

    fn callee(begin: &Begin) -> Callee {
        Callee::new(begin.function.key.clone(), begin.version, begin.qualifier.clone())
    }

    /// The text that serde makes of a row, with its newline.
    fn by_serde(row: &str) -> String {
        let row = Row::decode(row.as_bytes()).unwrap();
        serde_json::to_string(&row).unwrap() + "\n"
    }

    proptest! {
        #[test]
        fn ends_are_what_serde_writes(
            ret_msg in ".{0,50}", closing in prop::collection::vec(".{0,50}", 0..3), memory_mb in any::<Option<u32>>(),
            duration_us in 0_u64..EXACT_US_MAX, bill in any::<u64>(), memory in any::<u64>(),
            status in prop::sample::select(RunStatus::ALL), offsets in prop::collection::vec(0_u64..1 << 40, 0..4),
        ) {
            let begin = request().begin.clone();
            let end = End {
                status, ret_msg, duration_us, bill_duration_ms: bill, memory_bytes: memory, closing,
                report_memory_mb: memory_mb,
            };
            let mut extents = Extents::default();
            for (segment, offset) in (1..).zip(offsets) {
                extents.add(Position { segment, offset }, 27);
            }
            let mut row = String::new();
            super::end(&mut row, &callee(&begin), &begin, &end, &extents, 1_700_000_000_005);
            prop_assert_eq!(&by_serde(&row), &row);
        }

        #[test]
        fn durations_are_what_serde_writes(us in prop_oneof![any::<u64>(), 0_u64..10_000_000]) {
            let mut text = String::new();
            milliseconds(&mut text, us);
            prop_assert_eq!(text, serde_json::Value::from(us as f64 / 1_000.0).to_string());
        }

        #[test]
        fn lines_are_what_serde_writes(
            text in ".{0,50}", of_request in any::<bool>(), number in any::<Option<u32>>(), time_ms in any::<i64>(),
            stream in prop::sample::select(vec![Stream::Stdout, Stream::Stderr, Stream::Platform]),
        ) {
            let request = Arc::new(request());
            let mut begin = request.begin.clone();
            if let Some(number) = number {
                begin.version = VersionName::Number(number);
                begin.qualifier = Qualifier::Version(begin.version);
            }
            let line = LineRecord {
                time_ms,
                function: begin.function.clone(),
                version: begin.version,
                request_id: of_request.then(|| begin.request_id.clone()),
                request: of_request.then(|| request.clone()),
                instance: number.map(|_| InstanceId::random()),
                stream,
                text: text.into(),
                _share: None,
            };
            let mut row = String::new();
            super::line(&mut row, &callee(&begin), &line);
            prop_assert_eq!(&by_serde(&row), &row);
        }
    }

    #[test]
    fn beginnings_are_what_serde_writes() {
        for start_line in [false, true] {
            let begin = Begin { start_line, ..request().begin.clone() };
            let mut row = String::new();
            super::begin(&mut row, &callee(&begin), &begin);
            assert_eq!(by_serde(&row), row);
            assert_eq!(row.contains("START RequestId:"), start_line);
        }
    }

    #[test]
    fn interrupted_ends_are_what_serde_writes() {
        let begin = request().begin.clone();
        let mut row = String::new();
        interrupted(&mut row, &callee(&begin), &begin.request_id, begin.start_ms, &Extents::default(), 5);
        assert_eq!(by_serde(&row), row);
        assert_eq!(Row::decode(row.as_bytes()).unwrap().outcome().unwrap().status, None);
    }

    #[test]
    fn an_end_has_the_fields_of_the_contract() {
        let begin = request().begin.clone();
        let mut row = String::new();
        super::end(&mut row, &callee(&begin), &begin, &End { duration_us: 1_050, ..ended() }, &Extents::default(), 5);
        for part in [
            r#"{"Record":"end","SCF_LogTime":5,"SCF_Namespace":"default","SCF_FunctionName":"hello""#,
            r#""SCF_Qualifier":"$LATEST","SCF_Alias":"$DEFAULT","#,
            r#""SCF_StatusCode":200,"SCF_Duration":1.05,"SCF_MemUsage":9,"SCF_RetryNum":0,"BillDuration":1,"#,
        ] {
            assert!(row.contains(part), "{row}");
        }
    }
}
