//! A Rust lexer sufficient to follow paths: words and marks, without comments and string literals.

/// A token of a source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// A name, a keyword or a number.
    Word(&'a str),
    /// Any other character.
    Mark(char),
}

use Token::{Mark, Word};

/// Returns the words and marks of a text, without comments, string and character literals, and
/// lifetimes.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment_len(rest),
            '"' => text_len(rest),
            '\'' => character_len(rest),
            c if c.is_alphanumeric() || c == '_' => {
                let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                match raw_text_len(rest, len) {
                    Some(raw) => raw,
                    None => {
                        found.push(Word(&rest[..len]));
                        len
                    }
                }
            }
            c if c.is_whitespace() => c.len_utf8(),
            c => {
                found.push(Mark(c));
                c.len_utf8()
            }
        };
        rest = &rest[len.min(rest.len())..];
    }
    found
}

fn comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn text_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw string such as `r"…"` or `br#"…"#`, when the word of this length begins one.
fn raw_text_len(text: &str, word_len: usize) -> Option<usize> {
    if !matches!(&text[..word_len], "r" | "br" | "cr") {
        return None;
    }
    let hashes = text[word_len..].bytes().take_while(|byte| *byte == b'#').count();
    let begin = word_len + hashes;
    text[begin..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text[begin + 1..].find(&end).map_or(text.len(), |at| begin + 1 + at + end.len()))
}

/// The length of a character literal, or of the mark before a lifetime.
fn character_len(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text.char_indices().skip(3).find(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 1),
        Some(_) => chars.next().filter(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 1),
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_characters_and_comments_are_left_out() {
        let text = "a /* b /* c */ d */ 'e' '\\'' \"f\\\"g\" r#\"h\"i\"# b\"j\" // k\n&'l m";
        let words = [Word("a"), Word("b"), Mark('&'), Word("l"), Word("m")];
        assert_eq!(tokens(text), words);
    }
}
