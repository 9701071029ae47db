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
    fn a_line_stays_one() {
        assert_eq!(line("one"), "one");
        assert_eq!(line("a\nerror: b\r\nc\td"), "a\\nerror: b\\r\\nc\td");
    }
}
