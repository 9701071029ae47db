//! Replaces variables in scalars: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, and `$$` for a
//! `$`. This happens after parsing, so that a value never becomes structure. Keys and texts in
//! single quotes are unchanged.

use std::collections::BTreeMap;

use super::yaml::error::Error;
use super::yaml::node::{Content, Node, Style};
use crate::failure::{Exit, Failure};

/// Looks up the value of a variable.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Replaces the variables of a tree.
pub fn replace(node: &mut Node, lookup: &Lookup<'_>) -> Result<(), Error> {
    let place = node.place.clone();
    match &mut node.content {
        Content::List(items) => items.iter_mut().try_for_each(|item| replace(item, lookup)),
        Content::Map(entries) => entries.iter_mut().try_for_each(|(_, value)| replace(value, lookup)),
        Content::Scalar(scalar) if scalar.style == Style::Single || !scalar.text.contains('$') => Ok(()),
        Content::Scalar(scalar) => {
            let (text, substituted) =
                replaced(&scalar.text, lookup).map_err(|(message, hint)| Error::new(place, message, hint))?;
            (scalar.text, scalar.substituted) = (text, substituted);
            Ok(())
        }
    }
}

/// Replaces the variables of a text; also returns whether it had any.
fn replaced(text: &str, lookup: &Lookup<'_>) -> Result<(String, bool), (String, String)> {
    let (mut done, mut rest, mut any) = (String::with_capacity(text.len()), text, false);
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            done.push('$');
            rest = after;
        } else if let Some(inside) = after.strip_prefix('{') {
            let open = "Close it with `}`, or write `$${` for the text itself.".to_owned();
            let (inside, after) = inside.split_once('}').ok_or(("a `${` is not closed".to_owned(), open))?;
            done.push_str(&value(inside, lookup)?);
            any = true;
            rest = after;
        } else {
            done.push('$');
            rest = after;
        }
    }
    done.push_str(rest);
    Ok((done, any))
}

/// Evaluates the content of the braces.
fn value(inside: &str, lookup: &Lookup<'_>) -> Result<String, (String, String)> {
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    let found = lookup(name);
    let filled = found.clone().filter(|value| !value.is_empty());
    if is_name(name) && !inside.contains("${") {
        if rest.is_empty() {
            let hint = format!("Set it, or write ${{{name}:-DEFAULT}}.");
            return found.ok_or((format!("the variable {name} is not set"), hint));
        }
        if let Some(default) = rest.strip_prefix(":-") {
            return Ok(filled.unwrap_or_else(|| default.to_owned()));
        }
        if let Some(message) = rest.strip_prefix(":?") {
            return filled.ok_or((format!("the variable {name} is needed: {message}"), String::new()));
        }
    }
    let hint = "Write ${NAME}, ${NAME:-DEFAULT} or ${NAME:?MESSAGE}; `$$` stands for a `$`.".to_owned();
    Err((format!("${{{inside}}} is not a variable"), hint))
}

/// Whether a name is valid for a variable.
fn is_name(name: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_inside)
}

/// Parses a `--vars` file: one `NAME=VALUE` per line; skips empty lines and lines that begin with
/// `#`.
pub fn file(name: &str, text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let line = |(index, line): (usize, &str)| {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            return None;
        }
        let pair = line.split_once('=').map(|(key, value)| (key.trim().to_owned(), value.to_owned()));
        let hint = "A name has letters, digits and '_', and does not begin with a digit.";
        let wrong = || Failure::new(Exit::Usage, format!("{name}:{}: this is not NAME=VALUE", index + 1), hint).into();
        Some(pair.filter(|(key, _)| is_name(key)).ok_or_else(wrong))
    };
    // A byte order mark is not part of the first name.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().enumerate().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("1 000: #x".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn the_four_forms_are_replaced() {
        for (text, wanted) in [
            ("x${A}y", "x1 000: #xy"),
            ("${EMPTY}", ""),
            ("${EMPTY:-d}", "d"),
            ("${NONE:-}", ""),
            ("${NONE:-a:b?c}", "a:b?c"),
            ("${A:?must be set}", "1 000: #x"),
            ("abc$def $1 $", "abc$def $1 $"),
            ("$${A} $$$$", "${A} $$"),
        ] {
            assert_eq!(replaced(text, &lookup).map(|(text, _)| text), Ok(wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for (text, wanted) in [
            ("${NONE}", "NONE is not set"),
            ("${EMPTY:?give it}", "give it"),
            ("${A", "not closed"),
            ("${}", "is not a variable"),
            ("${A-x}", "is not a variable"),
            ("${A:-${B}}", "is not a variable"),
            ("${1}", "is not a variable"),
        ] {
            let (message, _) = replaced(text, &lookup).expect_err(text);
            assert!(message.contains(wanted), "{text}: {message}");
        }
    }

    #[test]
    fn a_file_of_variables_has_a_pair_in_each_line() {
        let read = file("v", "\u{feff}# x\n\nA=b=c \r\n B =\n").expect("valid");
        assert_eq!(file("v", "\u{feff}A=b\n").expect("valid")["A"], "b");
        let pairs: Vec<_> = read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("A", "b=c "), ("B", "")]);
        for line in ["nope", "export B=1", "1=2", "=x", "A-B=1", "\u{feff}A=1"] {
            let error = file("v", &format!("A=1\n{line}\n")).expect_err(line).to_string();
            assert!(error.contains("v:2: this is not NAME=VALUE"), "{line}: {error}");
        }
    }
}
