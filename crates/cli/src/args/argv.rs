//! Program arguments in one argument: with shell quoting but without expansions, or as a JSON
//! array.

use std::str::FromStr;

/// A program with arguments, or arguments alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argv {
    /// Unquoted: separated by blanks, as in the API's text fields.
    Plain(String),
    /// Arguments that cannot be represented as a text.
    List(Vec<String>),
}

impl FromStr for Argv {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(argv) = json_array(text)? {
            return Ok(Self::List(argv));
        }
        if !text.contains(['\'', '"', '\\']) {
            return Ok(Self::Plain(text.to_owned()));
        }
        split(text).map(Self::List)
    }
}

/// Parses the strings of a JSON array; `None` for a text that is not meant as one.
fn json_array(text: &str) -> Result<Option<Vec<String>>, String> {
    let text = text.trim_start();
    if !text.starts_with('[') {
        return Ok(None);
    }
    let refused = |error| format!("write a JSON array of strings, such as [\"sh\", \"-c\"]: {error}");
    match serde_json::from_str::<Vec<serde_json::Value>>(text) {
        Ok(_) => serde_json::from_str(text).map(Some).map_err(refused),
        Err(error) if text.starts_with("[\"") => Err(refused(error)),
        // `[` is also a program, which a blank follows.
        Err(_) => Ok(None),
    }
}

/// Splits like a POSIX shell (2.2 Quoting), without expansions.
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
        assert_eq!(list(r#"[ "a" = "b c" ]"#), ["[", "a", "=", "b c", "]"]);
        for wrong in [r#"["sh","-c""#, "[1]", r#"["sh", 1]"#, "[null]", "[[]]"] {
            let refused = wrong.parse::<Argv>().expect_err(wrong);
            assert!(refused.contains("a JSON array of strings"), "{wrong}: {refused}");
        }
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
