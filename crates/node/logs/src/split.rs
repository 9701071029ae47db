//! Splits a byte stream into lines. Pure: the result does not depend on how the bytes were cut into
//! reads.

/// Splits at newlines, and lines longer than `line_bytes_max` where that many bytes are reached.
#[derive(Debug)]
pub(crate) struct Splitter {
    partial: Vec<u8>,
    line_bytes_max: usize,
}

impl Splitter {
    /// A splitter for lines of at most `line_bytes_max` bytes (at least 4, so that a character
    /// always fits).
    pub(crate) fn new(line_bytes_max: usize) -> Self {
        Self { partial: Vec::new(), line_bytes_max: line_bytes_max.max(4) }
    }

    /// Adds bytes; calls `emit` for each completed line, without its newline.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut emit: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = self.line_bytes_max - self.partial.len();
            let window = &bytes[..bytes.len().min(room + 1)];
            if let Some(newline) = window.iter().position(|b| *b == b'\n') {
                self.emit_with(&bytes[..newline], &mut emit);
                bytes = &bytes[newline + 1..];
            } else if window.len() > room {
                bytes = self.emit_full(bytes, room, &mut emit);
            } else {
                self.partial.extend_from_slice(bytes);
                return;
            }
        }
    }

    /// Whether there is an incomplete line.
    pub(crate) fn has_begun(&self) -> bool {
        self.partial.len() > unfinished_character(&self.partial)
    }

    /// Emits the begun line, except for a character at its end of which bytes are missing.
    pub(crate) fn flush_characters(&mut self, mut emit: impl FnMut(&[u8])) {
        let unfinished = self.partial.split_off(self.partial.len() - unfinished_character(&self.partial));
        self.flush(&mut emit);
        self.partial = unfinished;
    }

    /// Ends the incomplete line, if any.
    pub(crate) fn flush(&mut self, mut emit: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            self.emit_with(&[], &mut emit);
        }
    }

    fn emit_with(&mut self, rest: &[u8], emit: &mut impl FnMut(&[u8])) {
        if self.partial.is_empty() {
            emit(without_return(rest));
        } else {
            self.partial.extend_from_slice(rest);
            // Taken, not cleared: an idle instance should not keep a long line's memory.
            emit(without_return(&std::mem::take(&mut self.partial)));
        }
    }

    /// Emits a full line and keeps the character that its cut would have broken; returns the rest
    /// of `bytes`.
    fn emit_full<'a>(&mut self, bytes: &'a [u8], room: usize, emit: &mut impl FnMut(&[u8])) -> &'a [u8] {
        self.partial.extend_from_slice(&bytes[..room]);
        let line = std::mem::take(&mut self.partial);
        let (whole, broken) = line.split_at(line.len() - broken_character(&line, bytes[room]));
        emit(whole);
        self.partial.extend_from_slice(broken);
        &bytes[room..]
    }
}

/// The line without the carriage return of a CRLF ending.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Number of bytes at the end of `line` that begin a UTF-8 character continued by `next`; 0 when
/// none is broken or the bytes are not UTF-8.
fn broken_character(line: &[u8], next: u8) -> usize {
    let continues = |b: u8| b & 0b1100_0000 == 0b1000_0000;
    if !continues(next) {
        return 0;
    }
    let back = line.iter().rev().take(3).position(|b| !continues(*b));
    back.map_or(0, |i| if line[line.len() - 1 - i] >= 0b1100_0000 { i + 1 } else { 0 })
}

/// How many bytes at the end of `line` begin a UTF-8 character that is longer (RFC 3629, 3).
fn unfinished_character(line: &[u8]) -> usize {
    let tail = &line[line.len().saturating_sub(3)..];
    let Some(back) = tail.iter().rev().position(|b| b & 0b1100_0000 != 0b1000_0000) else { return 0 };
    let len = match tail[tail.len() - 1 - back] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return 0,
    };
    if back + 1 < len { back + 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(max: usize, reads: &[&[u8]]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut splitter = Splitter::new(max);
        for read in reads {
            splitter.push(read, |line| lines.push(String::from_utf8_lossy(line).into_owned()));
        }
        splitter.flush(|line| lines.push(String::from_utf8_lossy(line).into_owned()));
        lines
    }

    #[test]
    fn reads_do_not_show_in_lines() {
        assert_eq!(split(100, &[b"a\nb", b"c\n", b"\n", b"d"]), ["a", "bc", "", "d"]);
        assert_eq!(split(100, &[b"crlf\r\n", b"lone\rreturn\n"]), ["crlf", "lone\rreturn"]);
        assert!(split(100, &[]).is_empty());
    }

    #[test]
    fn long_lines_are_split_and_full_ones_are_not() {
        assert_eq!(split(4, &[b"abcd\n"]), ["abcd"]);
        assert_eq!(split(4, &[b"abcdefghij\n"]), ["abcd", "efgh", "ij"]);
    }

    #[test]
    fn a_split_keeps_characters_whole() {
        assert_eq!(split(5, &["aäöü".as_bytes()]), ["aäö", "ü"]);
        assert_eq!(split(4, &["aäöü".as_bytes()]), ["aä", "öü"]);
    }

    #[test]
    fn a_pause_within_a_character_does_not_split_it() {
        for text in ["é", "€", "𝄞"] {
            for cut in 1..text.len() {
                let (begun, rest) = text.as_bytes().split_at(cut);
                let mut lines = Vec::new();
                let mut splitter = Splitter::new(100);
                splitter.push(&[b"x ", begun].concat(), |_| panic!("no line has ended"));
                assert!(splitter.has_begun());
                splitter.flush_characters(|line| lines.push(String::from_utf8_lossy(line).into_owned()));
                assert!(!splitter.has_begun(), "nothing more can be shown yet");
                splitter.push(&[rest, b" done\n"].concat(), |line| {
                    lines.push(String::from_utf8_lossy(line).into_owned());
                });
                assert_eq!(lines, ["x ".to_owned(), format!("{text} done")]);
            }
        }
        for whole in [&b"x"[..], b"\xc3\xa9", b"\xff", b"\x80\x80\x80", b"\xc0"] {
            assert_eq!(unfinished_character(whole), 0, "{whole:?}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_kept_lossily() {
        assert_eq!(split(100, &[b"x\xff\n"]), ["x\u{fffd}"]);
        assert_eq!(split(4, &[&[0x80; 9]]).concat().chars().count(), 9);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_reads(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200), at in 0usize..200) {
            let (a, b) = bytes.split_at(at.min(bytes.len()));
            prop_assert_eq!(split(7, &[&bytes]), split(7, &[a, b]));
        }

        #[test]
        fn no_byte_is_lost(text in "[a-zä€\n]{0,200}") {
            prop_assert_eq!(split(7, &[text.as_bytes()]).concat(), text.replace('\n', ""));
        }
    }
}
