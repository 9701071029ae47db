//! A program's arguments in one argument: split and quoted as by a shell without expansions, or a
//! JSON array.

use std::str::FromStr;

/// A program with arguments, or arguments alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argv {
    /// Without quotes: separated by blanks, as in the API's text fields.
    Plain(String),
    /// Arguments that cannot be represented as a text.
    List(Vec<String>),
}

impl FromStr for Argv {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('[') {
            match serde_json::from_str(text) {
                Ok(argv) => return Ok(Self::List(argv)),
                // `[` is also a program, followed by a blank.
                Err(error) if text.trim_start().starts_with("[\"") => {
                    return Err(format!("it begins like a JSON array of texts, but is not one: {error}"));
                }
                Err(_) => {}
            }
        }
        if !text.contains(['\'', '"', '\\']) {
            return Ok(Self::Plain(text.to_owned()));
        }
        split(text).map(Self::List)
    }
}

/// Splits as a POSIX shell does (2.2 Quoting), without expansions.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut argv = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' => argv.extend(word.take()),
            '\'' => word.get_or_insert_default().push_str(&single_quoted(&mut rest)?),
            '"' => word.get_or_insert_default().push_str(&double_quoted(&mut rest)?),
            '\\' => match rest.next() {
                Some('\n') => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("it ends with a backslash; write \\\\ for one".to_owned()),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    argv.extend(word);
    Ok(argv)
}

fn single_quoted(rest: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match rest.next() {
            Some('\'') => return Ok(text),
            Some(character) => text.push(character),
            None => return Err("a ' is not closed; close it, or write \\' for one".to_owned()),
        }
    }
}

fn double_quoted(rest: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match rest.next() {
            Some('"') => return Ok(text),
            Some('\\') => match rest.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => text.push(escaped),
                Some('\n') => {}
                Some(other) => text.extend(['\\', other]),
                None => break,
            },
            Some(character) => text.push(character),
            None => break,
        }
    }
    Err("a \" is not closed; close it, or write \\\" for one".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        match text.parse() {
            Ok(Argv::List(argv)) => argv,
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn quotes_keep_blanks_together() {
        let table: &[(&str, &[&str])] = &[
            (r#"sh -c "a b""#, &["sh", "-c", "a b"]),
            (r#"sh -c 'echo "$HOME"'"#, &["sh", "-c", r#"echo "$HOME""#]),
            (r#"-c "say \"hi\" \n""#, &["-c", r#"say "hi" \n"#]),
            (r"a\ b c\\d", &["a b", r"c\d"]),
            (r#"--x="1 2"'3 4' "" '' "#, &["--x=1 23 4", "", ""]),
        ];
        for (text, argv) in table {
            assert_eq!(list(text), *argv, "{text}");
        }
    }

    #[test]
    fn a_json_array_is_a_list() {
        assert_eq!(list(r#"["sh", "-c", "a b"]"#), ["sh", "-c", "a b"]);
        assert_eq!("[ -f x ]".parse(), Ok(Argv::Plain("[ -f x ]".to_owned())));
        assert_eq!("[1]".parse(), Ok(Argv::Plain("[1]".to_owned())));
        assert_eq!(list(r#"[ "a" = "b c" ]"#), ["[", "a", "=", "b c", "]"]);
        assert!(r#"["sh","-c""#.parse::<Argv>().is_err());
    }

    #[test]
    fn a_text_without_quotes_is_kept() {
        for text in ["", "python3 -m flask", "-m http.server 9000"] {
            assert_eq!(text.parse(), Ok(Argv::Plain(text.to_owned())));
        }
    }

    #[test]
    fn an_open_quote_is_refused() {
        for text in ["'a", "\"a", "a\\", "\"a\\"] {
            assert!(text.parse::<Argv>().is_err(), "{text}");
        }
    }
}
