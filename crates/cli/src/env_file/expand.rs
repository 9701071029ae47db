//! Expands variables and escapes in a value. Pure.

/// Deepest nesting of `${A:-${B:-…}}`.
const DEPTH_MAX: usize = 16;

/// Expands a text: variables by `lookup`, and the escapes of double quotes if it is `quoted`.
pub(super) fn expand(text: &str, quoted: bool, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    expand_at(text, quoted, lookup, 0)
}

fn expand_at(
    text: &str,
    quoted: bool,
    lookup: &dyn Fn(&str) -> Option<String>,
    depth: usize,
) -> Result<String, String> {
    if depth > DEPTH_MAX {
        return Err(format!("defaults are nested deeper than {DEPTH_MAX}"));
    }
    let (mut expanded, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['$', '\\']) {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('\\') {
            let escape = after.chars().next().filter(|_| quoted).and_then(unescaped);
            expanded.push(escape.unwrap_or('\\'));
            rest = if escape.is_some() { &after[1..] } else { after };
        } else if let Some(after) = rest.strip_prefix("$$") {
            expanded.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let end = closing(after).ok_or_else(|| "a `${` is not closed by `}`".to_owned())?;
            expanded.push_str(&braced(&after[..end], quoted, lookup, depth)?);
            rest = &after[end + 1..];
        } else {
            let after = &rest[1..];
            let name = &after[..name_len(after)];
            match name {
                "" => expanded.push('$'),
                name => expanded.push_str(&lookup(name).ok_or_else(|| not_set(name))?),
            }
            rest = &after[name.len()..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn unescaped(c: char) -> Option<char> {
    match c {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        '"' | '\\' | '$' => Some(c),
        _ => None,
    }
}

fn not_set(name: &str) -> String {
    format!(
        "variable {name} is not set; write ${{{name}:-}} for an empty one, or put the value in single quotes to keep `$` as \
         it is"
    )
}

/// Length of the name at the beginning of a text, in bytes.
fn name_len(text: &str) -> usize {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    if !text.starts_with(first) {
        return 0;
    }
    text.find(|c: char| !(first(c) || c.is_ascii_digit())).unwrap_or(text.len())
}

/// Position of the `}` that closes a `${`.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut before) = (0_usize, ' ');
    for (at, c) in text.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        before = c;
    }
    None
}

/// Expands the content of `${…}`: a name, and an operation for a missing or present value.
fn braced(text: &str, quoted: bool, lookup: &dyn Fn(&str) -> Option<String>, depth: usize) -> Result<String, String> {
    let (name, rest) = text.split_at(name_len(text));
    if name.is_empty() {
        return Err(format!("`${{{text}}}` has no variable name"));
    }
    let (or_empty, operation) = match rest.strip_prefix(':') {
        Some(operation) => (true, operation),
        None => (false, rest),
    };
    let value = lookup(name).filter(|value| !(or_empty && value.is_empty()));
    let mut chars = operation.chars();
    match (chars.next(), value) {
        (None, value) if !or_empty => value.ok_or_else(|| not_set(name)),
        (Some('-' | '?'), Some(value)) => Ok(value),
        (Some('-'), None) => expand_at(chars.as_str(), quoted, lookup, depth + 1),
        (Some('+'), Some(_)) => expand_at(chars.as_str(), quoted, lookup, depth + 1),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), None) => match expand_at(chars.as_str(), quoted, lookup, depth + 1)? {
            words if words.is_empty() => Err(format!("variable {name} is required")),
            words => Err(format!("variable {name} is required: {words}")),
        },
        _ => Err(format!("`${{{text}}}` is not supported; write ${{{name}}} or ${{{name}:-default}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand(text, false, &lookup)
    }

    #[test]
    fn defaults_and_replacements_are_composes() {
        for (text, want) in [
            ("${SET:-d} ${EMPTY:-d} ${NONE:-d}", "value d d"),
            ("${SET-d} ${EMPTY-d} ${NONE-d}", "value  d"),
            ("${SET:+r} ${EMPTY:+r} ${NONE:+r}", "r  "),
            ("${SET+r} ${EMPTY+r} ${NONE+r}", "r r "),
            ("${NONE:-${EMPTY:-${SET}}}", "value"),
            ("${NONE:-a:-b}", "a:-b"),
            ("${NONE:-}", ""),
            ("${SET:?no} ${EMPTY?no}", "value "),
            ("$SET-$SET$SET", "value-valuevalue"),
            ("}$SET}", "}value}"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(want), "{text}");
        }
        for (text, words) in [
            ("$NONE", "variable NONE is not set; write ${NONE:-}"),
            ("${NONE}", "single quotes"),
            ("${EMPTY:?say $SET}", "variable EMPTY is required: say value"),
            ("${NONE?}", "variable NONE is required"),
            ("${}", "has no variable name"),
            ("${1}", "has no variable name"),
            ("${SET!x}", "not supported"),
            ("${SET:}", "not supported"),
            ("${SET", "not closed"),
        ] {
            let error = expanded(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
        let deep = "${N:-".repeat(40) + &"}".repeat(40);
        assert!(expanded(&deep).expect_err("deep").contains("deeper"));
    }
}
