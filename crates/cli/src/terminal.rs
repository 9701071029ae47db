//! Text of others on a terminal. What a function, an image or a registry says may hold sequences that move the cursor,
//! change a title, answer in the user's place or hide what stands before them; shown, they do nothing.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with every control character written out, such as `\x1b`; newlines and tabs stay, and the carriage return of
/// a CRLF ending. Characters that reorder a line are written out too.
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

/// The text as one line: newlines are written out too, so that it cannot pass for lines of ours.
pub fn line(text: &str) -> Cow<'_, str> {
    match escaped(text) {
        shown if !shown.contains('\n') => shown,
        shown => Cow::Owned(shown.replace("\r\n", "\\r\\n").replace('\n', "\\n")),
    }
}

/// A message whose later lines are indented: none of them can pass for a line of ours, such as a hint.
pub fn message(text: &str) -> String {
    escaped(text).replace('\n', "\n  ")
}

/// A JSON document in which the control characters that JSON leaves as they are (DEL, C1, bidirectional ones) are written
/// as JSON's escapes. They stand in strings only.
pub fn json(document: String) -> String {
    if !document.chars().any(is_control) {
        return document;
    }
    let mut shown = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if is_control(c) {
            // Writing to a String cannot fail. None of these is outside the first plane.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Bytes that come in pieces, as [`escaped`] shows text; bytes that are no UTF-8 are written out, such as `\xff`.
#[derive(Debug, Default)]
pub struct Escaper {
    /// A character that has begun, or a carriage return whose newline may follow.
    pending: Vec<u8>,
}

impl Escaper {
    /// What can be shown now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let keep = self.unfinished();
        let kept = self.pending.split_off(self.pending.len() - keep);
        whole(&std::mem::replace(&mut self.pending, kept))
    }

    /// What is left at the end.
    pub fn finish(self) -> String {
        whole(&self.pending)
    }

    /// Bytes at the end that only the next ones can complete.
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

/// C0, DEL and C1, line and paragraph separators, and the controls of bidirectional text (Unicode TR 36, 2.10).
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
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
    fn pieces_show_as_the_whole_does() {
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
    fn a_document_is_the_same_to_programs() {
        let value = serde_json::json!({"text": "\u{9b}31m \u{7f}\u{202e} tä \u{1b}"});
        let shown = json(value.to_string());
        assert!(!shown.chars().any(is_control), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("still JSON"), value);
    }

    #[test]
    fn a_message_cannot_hint_at_anything() {
        assert_eq!(message("it said:\nhint: run\u{7}"), "it said:\n  hint: run\\x07");
    }

    #[test]
    fn a_line_stays_one() {
        assert_eq!(line("one"), "one");
        assert_eq!(line("a\nerror: b\r\nc\td"), "a\\nerror: b\\r\\nc\td");
    }
}
