//! Escapes untrusted text for terminals. Output of functions, images and registries may contain
//! escape sequences that move the cursor, change the title, inject input or hide preceding text.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes control characters, for example as `\x1b`, except newlines, tabs, and the carriage
/// return of a CRLF. Also escapes characters that reorder a line.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| is_control(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let stays = matches!(c, '\n' | '\t') || (c == '\r' && rest.peek() == Some(&'\n'));
        if stays || !is_control(c) {
            shown.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = match c {
                '\r' => shown.write_str("\\r"),
                c if u32::from(c) < 0x100 => write!(shown, "\\x{:02x}", u32::from(c)),
                c => write!(shown, "\\u{{{:x}}}", u32::from(c)),
            };
        }
    }
    Cow::Owned(shown)
}

/// Escapes a text as one line: newlines are escaped too, so that it cannot imitate further lines.
pub fn line(text: &str) -> Cow<'_, str> {
    match escaped(text) {
        shown if !shown.contains('\n') => shown,
        shown => Cow::Owned(shown.replace("\r\n", "\\r\\n").replace('\n', "\\n")),
    }
}

/// Escapes a message and indents its further lines, so that they cannot imitate lines of the CLI,
/// such as a hint.
pub fn message(text: &str) -> String {
    escaped(text).replace('\n', "\n  ")
}

/// Escapes the control characters that JSON allows (DEL, C1, bidirectional ones) in a document.
/// They occur in strings only.
pub fn json(document: String) -> String {
    if !document.chars().any(is_control) {
        return document;
    }
    let mut shown = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if is_control(c) {
            // Writing to a String cannot fail. All these characters are in the basic multilingual
            // plane.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Escapes a stream of bytes as [`escaped`] does; invalid UTF-8 becomes escapes such as `\xff`.
#[derive(Debug, Default)]
pub struct Escaper {
    /// An incomplete UTF-8 sequence, or a carriage return that may precede a newline.
    pending: Vec<u8>,
}

impl Escaper {
    /// Adds bytes and returns the text that is complete.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let keep = self.unfinished();
        let kept = self.pending.split_off(self.pending.len() - keep);
        whole(&std::mem::replace(&mut self.pending, kept))
    }

    /// Returns the rest at the end.
    pub fn finish(self) -> String {
        whole(&self.pending)
    }

    /// Number of trailing bytes whose escaping depends on the bytes after them.
    fn unfinished(&self) -> usize {
        match std::str::from_utf8(&self.pending[self.pending.len().saturating_sub(4)..]) {
            _ if self.pending.ends_with(b"\r") => 1,
            Ok(_) => 0,
            Err(_) => (1..=3.min(self.pending.len()))
                .find(|len| self.pending[self.pending.len() - len] >= 0xc0)
                .filter(|len| {
                    let end = &self.pending[self.pending.len() - len..];
                    std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none())
                })
                .unwrap_or(0),
        }
    }
}

fn whole(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&escaped(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// C0, DEL and C1, line and paragraph separators, and bidirectional controls (Unicode TR 36, 2.10).
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let table = [
            ("plain täxt, \u{1F600}\tand tabs\n", "plain täxt, \u{1F600}\tand tabs\n"),
            ("\u{1b}[31mred\u{1b}[0m", "\\x1b[31mred\\x1b[0m"),
            ("\u{1b}]0;title\u{7}", "\\x1b]0;title\\x07"),
            ("\u{9b}2J\u{7f}\0", "\\x9b2J\\x7f\\x00"),
            ("over\rwritten", "over\\rwritten"),
            ("two\r\nlines\r\n", "two\r\nlines\r\n"),
            ("a\u{202e}b\u{2066}c\u{2028}", "a\\u{202e}b\\u{2066}c\\u{2028}"),
        ];
        for (text, shown) in table {
            assert_eq!(escaped(text), shown);
        }
    }

    #[test]
    fn chunks_are_escaped_like_the_whole() {
        let bytes = "tä\u{1b}xt\r\n\u{1F600}\rend\r".as_bytes();
        for cut in 0..bytes.len() {
            let mut escaper = Escaper::default();
            let mut shown = escaper.push(&bytes[..cut]);
            shown.push_str(&escaper.push(&bytes[cut..]));
            shown.push_str(&escaper.finish());
            assert_eq!(shown, "tä\\x1bxt\r\n\u{1F600}\\rend\\r", "cut at {cut}");
        }
        let mut escaper = Escaper::default();
        assert_eq!(escaper.push(b"a\xff\xf0\x9f"), "a\\xff");
        assert_eq!(escaper.finish(), "\\xf0\\x9f");
    }

    #[test]
    fn an_escaped_document_parses_to_the_same_value() {
        let value = serde_json::json!({"text": "\u{9b}31m \u{7f}\u{202e} tä \u{1b}"});
        let shown = json(value.to_string());
        assert!(!shown.chars().any(is_control), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("still JSON"), value);
    }

    #[test]
    fn a_message_cannot_imitate_a_hint() {
        assert_eq!(message("it said:\nhint: run\u{7}"), "it said:\n  hint: run\\x07");
    }

    #[test]
    fn a_line_remains_one_line() {
        assert_eq!(line("one"), "one");
        assert_eq!(line("a\nerror: b\r\nc\td"), "a\\nerror: b\\r\\nc\td");
    }
}
