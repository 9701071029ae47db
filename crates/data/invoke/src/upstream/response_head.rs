//! Follows the head of a response as its bytes arrive, before hyper reads it: counts interim
//! responses, and extracts header lines beyond those that hyper has room for. Pure.
//!
//! hyper keeps 100 lines on its stack; a higher limit makes it fill two arrays of that many entries
//! on the heap for each head, which took a tenth of a warm request's instructions. hyper still
//! validates the head: only lines that are valid and do not affect framing are extracted, and where
//! a limit is exceeded the rest is left in.

use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

use crate::config::Config;

/// Header lines that pass unchanged; the rest of hyper's room is for [`KEPT`].
const LINES_PASSED: usize = 90;
/// Headers that hyper must see, at any position.
const KEPT: [&[u8]; 4] = [b"connection", b"content-length", b"transfer-encoding", b"upgrade"];
/// Bytes of a line that suffice to recognize an empty line, or the status line of an interim
/// response.
const BEGINNING: usize = "HTTP/1.1 1xx".len();

/// Limits of responses.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimits {
    lines_max: usize,
    bytes_max: usize,
    interim_max: u32,
    interim_bytes_max: usize,
}

impl HeadLimits {
    pub fn new(config: &Config) -> Self {
        Self {
            lines_max: config.web_response_headers_max,
            bytes_max: config.web_response_headers_bytes_max,
            interim_max: config.interim_responses_max,
            interim_bytes_max: config.interim_responses_bytes_max,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before a status line.
    Start,
    /// In the header lines.
    Lines,
    /// No longer followed: the head is complete, or hyper is left to refuse it.
    Over,
}

/// The heads of successive responses.
#[derive(Debug)]
pub(super) struct ResponseHead {
    limits: HeadLimits,
    phase: Phase,
    /// Header lines of this head.
    lines: usize,
    /// Bytes of its lines.
    bytes: usize,
    is_interim: bool,
    /// Interim responses, and the bytes of their heads.
    interim: (u32, usize),
    /// A line whose end has not arrived: its beginning, or all of it where it has not passed.
    partial: Vec<u8>,
    /// Extracted lines.
    extra: HeaderMap,
}

impl ResponseHead {
    /// Follows nothing before [`ResponseHead::begin`].
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            phase: Phase::Over,
            lines: 0,
            bytes: 0,
            is_interim: false,
            interim: (0, 0),
            partial: Vec::new(),
            extra: HeaderMap::new(),
        }
    }

    /// Records that a request was sent: a response follows.
    pub fn begin(&mut self) {
        self.phase = Phase::Start;
        self.interim = (0, 0);
        self.partial.clear();
        if !self.extra.is_empty() {
            self.extra = HeaderMap::new();
        }
    }

    /// Whether bytes pass without being followed.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether there were more interim responses than the limit.
    pub fn has_too_many_interim(&self) -> bool {
        self.interim.0 > self.limits.interim_max || self.interim.1 > self.limits.interim_bytes_max
    }

    /// Takes the lines that were extracted from the response's head.
    pub fn take_extra(&mut self) -> Option<HeaderMap> {
        (!self.extra.is_empty()).then(|| std::mem::take(&mut self.extra))
    }

    /// Follows bytes; returns the replacement for hyper to read where it differs.
    pub fn receive(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut rest = bytes;
        while !self.is_over() && !rest.is_empty() {
            if self.lines >= LINES_PASSED && self.phase == Phase::Lines {
                let mut passed = bytes[..bytes.len() - rest.len()].to_vec();
                self.take_out(rest, &mut passed);
                return Some(passed);
            }
            let Some(end) = memchr(b'\n', rest) else {
                let left = BEGINNING.saturating_sub(self.partial.len());
                self.partial.extend_from_slice(&rest[..rest.len().min(left)]);
                self.bytes += rest.len();
                break;
            };
            let (line, after) = rest.split_at(end + 1);
            self.bytes += line.len();
            if self.partial.is_empty() {
                self.end_line(&line[..end]);
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(&line[..end.min(BEGINNING)]);
                self.end_line(&whole);
            }
            rest = after;
        }
        None
    }

    fn end_line(&mut self, line: &[u8]) {
        let is_empty = matches!(line, b"" | b"\r");
        match self.phase {
            // hyper skips empty lines before a status line.
            Phase::Start if is_empty => {}
            Phase::Start => {
                self.is_interim = line.get(9) == Some(&b'1') && line.get(9..12) != Some(b"101");
                (self.phase, self.lines, self.bytes) = (Phase::Lines, 0, 0);
            }
            Phase::Lines if is_empty => self.end_head(),
            Phase::Lines => self.lines += 1,
            Phase::Over => {}
        }
    }

    fn end_head(&mut self) {
        if !self.is_interim {
            self.phase = Phase::Over;
            return;
        }
        self.phase = Phase::Start;
        self.interim.0 += 1;
        self.interim.1 += self.bytes;
        self.extra.clear();
    }

    /// Extracts lines of `rest`, which begins with a line or continues one that has not passed, and
    /// adds the others to `passed`.
    fn take_out(&mut self, mut rest: &[u8], passed: &mut Vec<u8>) {
        while self.phase == Phase::Lines {
            let Some(end) = memchr(b'\n', rest) else {
                self.partial.extend_from_slice(rest);
                self.bytes += rest.len();
                if self.bytes > self.limits.bytes_max {
                    self.phase = Phase::Over;
                    passed.append(&mut self.partial);
                }
                return;
            };
            let (line, after) = rest.split_at(end + 1);
            (rest, self.bytes) = (after, self.bytes + line.len());
            let mut whole = std::mem::take(&mut self.partial);
            whole.extend_from_slice(line);
            let is_over_limit = self.lines >= self.limits.lines_max || self.bytes > self.limits.bytes_max;
            match field(&whole).filter(|_| !is_over_limit) {
                Some((name, value)) => drop(self.extra.append(name, value)),
                None => passed.extend_from_slice(&whole),
            }
            whole.pop();
            self.end_line(&whole);
        }
        // The body, or the next head, which is followed when it arrives alone.
        match self.phase {
            Phase::Over => passed.extend_from_slice(rest),
            _ => match self.receive(rest) {
                Some(other) => passed.extend_from_slice(&other),
                None => passed.extend_from_slice(rest),
            },
        }
    }
}

/// Name and value of a line that may be extracted.
fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = memchr(b':', line)?;
    // Whitespace may precede the colon, as hyper is configured.
    let name = line[..colon].trim_ascii_end();
    if KEPT.iter().any(|kept| name.eq_ignore_ascii_case(kept)) {
        return None;
    }
    let value = line[colon + 1..].trim_ascii();
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(lines_max: usize) -> ResponseHead {
        let limits = HeadLimits { lines_max, bytes_max: 64 * 1024, interim_max: 3, interim_bytes_max: 100 };
        let mut head = ResponseHead::new(limits);
        head.begin();
        head
    }

    /// The bytes that hyper reads when they arrive in pieces of this size.
    fn passed(head: &mut ResponseHead, bytes: &[u8], piece: usize) -> Vec<u8> {
        bytes.chunks(piece).flat_map(|piece| head.receive(piece).unwrap_or_else(|| piece.to_vec())).collect()
    }

    fn with_lines(count: usize, last: &str) -> Vec<u8> {
        let lines: String = (0..count).map(|n| format!("X-{n}: {n}\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{lines}{last}Content-Length: 4\r\n\r\na\n\nb").into_bytes()
    }

    #[test]
    fn lines_beyond_those_of_hyper_are_taken_out_and_what_ends_the_message_is_not() {
        for piece in [1, 7, 4096] {
            let mut head = head(500);
            let read = passed(&mut head, &with_lines(495, "transfer-ENCODING : chunked\r\n"), piece);
            assert!(head.is_over());
            let read = String::from_utf8(read).expect("text");
            assert!(
                read.ends_with("X-89: 89\r\ntransfer-ENCODING : chunked\r\nContent-Length: 4\r\n\r\na\n\nb"),
                "{read}"
            );
            let extra = head.take_extra().expect("405 lines");
            assert_eq!(extra.len(), 405);
            assert_eq!((&extra["x-90"], &extra["x-494"]), (&HeaderValue::from(90), &HeaderValue::from(494)));
        }
    }

    #[test]
    fn what_is_not_within_the_limits_or_not_valid_is_left_to_hyper() {
        let lines = |read: Vec<u8>| read.iter().filter(|byte| **byte == b'\n').count();
        // The status line, 90 lines, the length, an empty line and two of the body.
        let fewest = 1 + 90 + 1 + 1 + 2;
        assert_eq!(lines(passed(&mut head(500), &with_lines(400, ""), 4096)), fewest);
        assert_eq!(lines(passed(&mut head(100), &with_lines(400, ""), 4096)), fewest + 300);
        for wrong in ["no field\r\n", " folded: line\r\n", "a b: c\r\n", "a: b\0c\r\n", "a: b\rc\r\n", ": c\r\n"] {
            assert_eq!(lines(passed(&mut head(500), &with_lines(400, wrong), 4096)), fewest + 1, "{wrong:?}");
        }
        let long = [&with_lines(95, "")[..with_lines(95, "").len() - 25], &[b'x'; 70 * 1024]].concat();
        let mut head = head(500);
        assert!(passed(&mut head, &long, 4096).len() > 64 * 1024, "a line without an end is not held for ever");
        assert!(head.is_over());
    }

    #[test]
    fn interim_responses_are_counted_until_the_response_comes() {
        for piece in [1, 5, 4096] {
            let mut head = head(500);
            let early = b"\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
            assert_eq!(passed(&mut head, early, piece), early);
            assert_eq!((head.interim.0, head.is_over(), head.has_too_many_interim()), (2, false, false));
            passed(&mut head, b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 103 in the body\r\n\r\n", piece);
            assert_eq!((head.interim.0, head.is_over()), (2, true));
        }
        let mut few = head(500);
        passed(&mut few, &b"HTTP/1.1 103 A\r\n\r\n".repeat(4), 4096);
        assert!(few.has_too_many_interim());
        let mut long = head(500);
        passed(&mut long, format!("HTTP/1.1 103 A\r\na: {}\r\n\r\n", "b".repeat(100)).as_bytes(), 4096);
        assert!(long.has_too_many_interim());
        let mut switched = head(500);
        passed(&mut switched, b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 4096);
        assert!(switched.is_over() && switched.interim.0 == 0);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter_and_short_heads_pass_as_they_are(
            lines in proptest::collection::vec("[ -~\\n\\r]{0,12}", 0..120), piece in 1_usize..40,
        ) {
            let bytes = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\nbody", lines.join("\r\n")).into_bytes();
            let (mut whole, mut apart) = (head(500), head(500));
            let read = passed(&mut whole, &bytes, usize::MAX);
            prop_assert_eq!(&read, &passed(&mut apart, &bytes, piece));
            prop_assert_eq!(whole.take_extra(), apart.take_extra());
            if bytes.iter().filter(|byte| **byte == b'\n').count() <= LINES_PASSED {
                prop_assert_eq!(read, bytes);
            }
        }
    }
}
