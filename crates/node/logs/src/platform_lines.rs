//! Platform lines that repeat the record of an invocation (contract 4.6): START, END and Report.
//! They are formatted when they are written or read, so that a request does not carry them. Pure.

use std::fmt::Write;

use types::RequestId;

use crate::run::{Begin, End};

const MB: u64 = 1 << 20;
/// Multiples of this have at most eight decimals in MB.
const PAGE: u64 = 4096;

/// Calls `each` for every line that the record begins with.
pub(crate) fn of_begin(begin: &Begin, mut each: impl FnMut(&str)) {
    if begin.start_line {
        let mut line = String::new();
        start(&mut line, &begin.request_id);
        each(&line);
    }
}

/// Calls `each` for every line that the record ends with, in order.
pub(crate) fn of_end(request: &RequestId, end: &End, mut each: impl FnMut(&str)) {
    end.closing.iter().for_each(|line| each(line));
    if let Some(memory_mb) = end.report_memory_mb {
        let mut line = String::new();
        self::end(&mut line, request);
        each(&line);
        line.clear();
        report(&mut line, request, end, memory_mb);
        each(&line);
    }
}

/// `START RequestId:…`.
pub(crate) fn start(out: &mut String, request: &RequestId) {
    out.push_str("START RequestId:");
    out.push_str(request.as_str());
}

/// `END RequestId:…`.
pub(crate) fn end(out: &mut String, request: &RequestId) {
    out.push_str("END RequestId:");
    out.push_str(request.as_str());
}

/// `Report RequestId:… Duration:…ms Memory:…MB MemUsage:…MB`.
pub(crate) fn report(out: &mut String, request: &RequestId, end: &End, memory_mb: u32) {
    out.push_str("Report RequestId:");
    out.push_str(request.as_str());
    out.push_str(" Duration:");
    number(out, end.bill_duration_ms);
    out.push_str("ms Memory:");
    number(out, u64::from(memory_mb));
    out.push_str("MB MemUsage:");
    megabytes(out, end.memory_bytes);
    out.push_str("MB");
}

pub(crate) fn number(out: &mut String, number: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// The same text as the number of MB as an `f64`, computed with integers where those are exact.
fn megabytes(out: &mut String, bytes: u64) {
    if !bytes.is_multiple_of(PAGE) || bytes > 1 << 43 {
        write!(out, "{}", bytes as f64 / MB as f64).expect("writing to a String cannot fail");
        return;
    }
    number(out, bytes / MB);
    let mut rest = bytes % MB;
    if rest > 0 {
        out.push('.');
    }
    while rest > 0 {
        rest *= 10;
        number(out, rest / MB);
        rest %= MB;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::{ended, request};
    use proptest::prelude::*;

    #[test]
    fn lines_read_as_the_contract_writes_them() {
        let request = request();
        let id = &request.begin.request_id;
        let (mut lines, end) = (Vec::new(), End { memory_bytes: 31_178_752, report_memory_mb: Some(128), ..ended() });
        of_begin(&Begin { start_line: true, ..request.begin.clone() }, |line| lines.push(line.to_owned()));
        of_end(id, &End { closing: vec!["one before".into()], ..end }, |line| lines.push(line.to_owned()));
        let wanted = [
            "START RequestId:ID",
            "one before",
            "END RequestId:ID",
            "Report RequestId:ID Duration:1ms Memory:128MB MemUsage:29.734375MB",
        ];
        assert_eq!(lines, wanted.map(|line| line.replace("ID", id.as_str())));
    }

    proptest! {
        #[test]
        fn megabytes_are_those_of_the_float(pages in 0_u64..1 << 33, odd in prop_oneof![Just(0), 0_u64..4096]) {
            let bytes = pages * PAGE + odd;
            let mut text = String::new();
            megabytes(&mut text, bytes);
            prop_assert_eq!(text, format!("{}", bytes as f64 / MB as f64));
        }
    }
}
