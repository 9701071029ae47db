//! Parses lines, names and quotes. Pure.

use super::Problem;
use super::expand::expand;

/// Adds the variables of a text to `variables`. `environment` looks up the command's environment.
pub(super) fn parse(
    text: &str,
    environment: &impl Fn(&str) -> Option<String>,
    variables: &mut Vec<(String, String)>,
) -> Result<(), Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let (mut rest, mut line) = (text.as_str(), 1);
    while !rest.is_empty() {
        let at = |problem: String| Problem { line, problem };
        let (statement, after) = statement(rest).map_err(at)?;
        if let Some((key, value)) = statement {
            let lookup = |name: &str| {
                let before = || variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                environment(name).or_else(before)
            };
            if let Some(value) = value_of(&key, value, &lookup, environment).map_err(at)? {
                variables.retain(|(known, _)| *known != key);
                variables.push((key, value));
            }
        }
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    Ok(())
}

/// A value as written, before expansion.
enum Written<'a> {
    /// A name without a value.
    None,
    Plain(&'a str),
    Single(&'a str),
    Double(&'a str),
}

/// A variable's name and value.
type Statement<'a> = (String, Written<'a>);

/// Splits off the first statement, if the first line has one; also returns the rest of the text.
fn statement(text: &str) -> Result<(Option<Statement<'_>>, &str), String> {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let trimmed = line.trim_start();
    if trimmed.trim_end().is_empty() || trimmed.starts_with('#') {
        return Ok((None, after));
    }
    let word = trimmed.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])).map(str::trim_start);
    let named = word.unwrap_or(trimmed);
    let end = named.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))).unwrap_or(named.len());
    let (key, behind) = named.split_at(end);
    if key.is_empty() {
        let shown: String = named.chars().take(20).collect();
        return Err(format!("{shown:?} does not begin a variable; write KEY=value, or # before a comment"));
    }
    let behind = behind.trim_start_matches([' ', '\t']);
    let key = key.to_owned();
    if behind.is_empty() || behind.starts_with('#') {
        return Ok((Some((key, Written::None)), after));
    }
    let Some(value) = behind.strip_prefix(['=', ':']) else {
        return Err(format!("{key} has no '=' after it; write {key}=value"));
    };
    let value = value.trim_start_matches([' ', '\t']);
    // The value and all following lines: a quoted value may span lines.
    let from = &text[line.len() - value.len()..];
    match value.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            let inside = &from[1..];
            let end =
                closing(inside, quote).ok_or_else(|| format!("the {quote} before {key}'s value is not closed"))?;
            let (quoted, behind) = (&inside[..end], &inside[end + 1..]);
            let (tail, after) = behind.split_once('\n').unwrap_or((behind, ""));
            let tail = tail.trim();
            if !tail.is_empty() && !tail.starts_with('#') {
                return Err(format!("unexpected {tail:?} after the closing {quote} of {key}'s value"));
            }
            let written = if quote == '\'' { Written::Single(quoted) } else { Written::Double(quoted) };
            Ok((Some((key, written)), after))
        }
        _ => {
            let comment = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
            let value = if value.starts_with('#') { "" } else { value[..comment].trim_end() };
            Ok((Some((key, Written::Plain(value))), after))
        }
    }
}

/// Position of the closing quote.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let closes = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })
}

/// A variable's value; `None` for a name alone that the environment does not have.
fn value_of(
    key: &str,
    written: Written<'_>,
    lookup: &dyn Fn(&str) -> Option<String>,
    environment: &impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, String> {
    match written {
        Written::None => Ok(environment(key)),
        Written::Single(text) => Ok(Some(text.replace("\\'", "'"))),
        Written::Plain(text) => expand(text, false, lookup).map(Some),
        Written::Double(text) => expand(text, true, lookup).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<(String, String)>, Problem> {
        let environment = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        let mut variables = Vec::new();
        parse(text, &environment, &mut variables).map(|()| variables)
    }

    fn value(text: &str) -> String {
        let variables = parsed(text).unwrap_or_else(|problem| panic!("{text:?}: {problem:?}"));
        let (key, value) = variables.last().expect("a variable");
        assert_eq!(key, "A", "{text:?}");
        value.clone()
    }

    #[test]
    fn values_are_as_compose_reads_them() {
        for (text, want) in [
            ("A=b", "b"),
            ("A=", ""),
            ("A=b c", "b c"),
            ("  export A = b  ", "b"),
            ("export\tA=b", "b"),
            ("A: b", "b"),
            ("A=b # comment", "b"),
            ("A=b# no comment", "b# no comment"),
            ("A=# comment", ""),
            ("A='b' # comment", "b"),
            ("A=\"b\"# comment", "b"),
            ("A=\"b # no comment\"", "b # no comment"),
            ("A='$HOME ${HOME} \\n'", "$HOME ${HOME} \\n"),
            ("A='it\\'s'", "it's"),
            ("A='one\ntwo'", "one\ntwo"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("A=\"a\\tb\\nc\\\\n\\\"d\\\"\"", "a\tb\nc\\n\"d\""),
            ("A=\"\\$HOME \\x\"", "$HOME \\x"),
            ("A=a\\nb", "a\\nb"),
            ("A=$HOME/x", "/home/me/x"),
            ("A=${HOME}x", "/home/mex"),
            ("A=\"${HOME}\"", "/home/me"),
            ("A=$$HOME", "$HOME"),
            ("A=a$", "a$"),
            ("A=a$ b", "a$ b"),
            ("A=$1", "$1"),
            ("A=b=c==", "b=c=="),
            ("A='b'\r\n", "b"),
            ("\u{feff}A=b", "b"),
            ("A=b\nA=c", "c"),
            ("# x\n\n  # y\nA=b", "b"),
            ("B=1\nA=${B}2", "12"),
            ("exporter=1\nA=b", "b"),
            ("HOME=other\nA=$HOME", "/home/me"),
            // Values that look like numbers or switches stay texts.
            ("A=1000000", "1000000"),
            ("A=007", "007"),
            ("A=1e6", "1e6"),
            ("A=yes", "yes"),
            ("A='abc$def'", "abc$def"),
            (
                "A=\"-----BEGIN KEY-----\nMIIB+/=\n-----END KEY-----\n\"",
                "-----BEGIN KEY-----\nMIIB+/=\n-----END KEY-----\n",
            ),
            ("A={{secret:db@3}}", "{{secret:db@3}}"),
        ] {
            assert_eq!(value(text), want, "{text:?}");
        }
        assert_eq!(parsed("HOME"), Ok(vec![("HOME".to_owned(), "/home/me".to_owned())]));
        assert_eq!(parsed("A.b-c=1"), Ok(vec![("A.b-c".to_owned(), "1".to_owned())]));
    }

    #[test]
    fn a_name_alone_that_the_environment_lacks_has_no_effect() {
        let all = |pairs: &[(&str, &str)]| {
            Ok(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(parsed("NOT_SET"), all(&[]));
        assert_eq!(parsed("A=1\nexport NOT_SET # comment\nNOT_SET \nB=2"), all(&[("A", "1"), ("B", "2")]));
        assert_eq!(parsed("A=1\nA"), all(&[("A", "1")]));
        assert_eq!(parsed("NOT_SET="), all(&[("NOT_SET", "")]));
        assert!(parsed("NOT_SET\nA=$NOT_SET").is_err());
    }

    #[test]
    fn what_is_odd_is_refused_with_its_line() {
        for (text, line, words) in [
            ("A=1\nB=\"x\ny", 2, "is not closed"),
            ("A='x\ny'\nB='z", 3, "is not closed"),
            ("A=1\n=2", 2, "does not begin a variable"),
            ("A b", 1, "no '='"),
            ("A='b'c", 1, "after the closing '"),
            ("A=\"x\n\n\"\nB=abc$def", 4, "variable def is not set"),
            ("A=${", 1, "is not closed"),
            ("PASSWORD=\"abc$def\"", 1, "variable def is not set"),
        ] {
            let problem = parsed(text).expect_err(text);
            assert!(problem.line == line && problem.problem.contains(words), "{text:?}: {problem:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([A-C$'\"\\\\{}:=#\\n -]|export |\\PC){0,40}") {
            let _ = parsed(&text);
        }

        #[test]
        fn a_text_in_single_quotes_is_literal(text in "[^'\\\\]{0,30}") {
            prop_assert_eq!(value(&format!("A='{text}'")), text.replace("\r\n", "\n"));
        }
    }
}
