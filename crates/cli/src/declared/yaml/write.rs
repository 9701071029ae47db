//! Writes values as YAML that all readers of YAML 1.1 and 1.2 read back as the same values.

use std::cmp::Ordering;
use std::fmt::Write;

use serde_json::Value;

/// Keys that come before all others.
const FIRST: [&str; 5] = ["project", "functions", "domains", "image", "type"];
/// Words that some readers do not read as texts.
const RESERVED: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
/// Internal prefix of a text that stands for a variable.
const VARIABLE: char = '\u{10ffff}';

/// Returns a text that is written as a variable; `inside` is the content of its braces.
pub fn variable(inside: &str) -> String {
    format!("{VARIABLE}{inside}")
}

/// Internal prefix of a text with variables.
const TEMPLATE: char = '\u{10fffe}';

/// Returns a text that is written with its variables; `$$` in it is a `$`.
pub fn template(text: &str) -> String {
    format!("{TEMPLATE}{text}")
}

/// Whether a text is written with its variables.
pub fn is_template(text: &str) -> bool {
    text.starts_with(TEMPLATE)
}

/// Writes a value as a document; omits `null` members.
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_by(|(a, _), (b, _)| order(a, b));
            for (key, value) in entries {
                out.push_str(&"  ".repeat(depth));
                let is_number = !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit());
                out.push_str(&if is_number { key.clone() } else { scalar(key, "$") });
                out.push(':');
                nested(value, depth + 1, out);
            }
        }
        Value::Array(list) => {
            for item in list {
                out.push_str(&"  ".repeat(depth));
                out.push('-');
                nested(item, depth + 1, out);
            }
        }
        other => {
            out.push_str(&flat(other));
            out.push('\n');
        }
    }
}

fn nested(value: &Value, depth: usize, out: &mut String) {
    let is_block = match value {
        Value::Object(object) => object.values().any(|value| !value.is_null()),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    out.push(if is_block { '\n' } else { ' ' });
    match is_block {
        true => block(value, depth, out),
        false => {
            out.push_str(&flat(value));
            out.push('\n');
        }
    }
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text, "$$"),
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        other => other.to_string(),
    }
}

/// Orders keys: [`FIRST`] first, numbers by value, others alphabetically.
fn order(a: &str, b: &str) -> Ordering {
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    let number = |key: &str| key.parse::<u64>().ok();
    rank(a).cmp(&rank(b)).then_with(|| match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    })
}

/// Writes a text: plain where it is unambiguous, otherwise single-quoted, which also keeps `$`
/// literal. Texts with line breaks or control characters are double-quoted, with `dollar` for `$`,
/// because variables are replaced in values but not in keys.
fn scalar(text: &str, dollar: &str) -> String {
    if let Some(inside) = text.strip_prefix(VARIABLE) {
        return quoted(&format!("${{{inside}}}"), "$");
    }
    if let Some(text) = text.strip_prefix(TEMPLATE) {
        return quoted(text, "$");
    }
    let inside = |c: char| c.is_ascii_alphanumeric() || "_./@:+-".contains(c);
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(inside);
    if plain && !text.ends_with(':') && !RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    if text.chars().all(printable) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    quoted(text, dollar)
}

fn printable(c: char) -> bool {
    !c.is_control() && !"\u{85}\u{2028}\u{2029}\u{feff}".contains(c)
}

/// Writes a text in double quotes, with `dollar` for each `$`.
fn quoted(text: &str, dollar: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '$' => quoted.push_str(dollar),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if printable(c) => quoted.push(c),
            c => write!(quoted, "\\U{:08x}", u32::from(c)).expect("a text grows"),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{deserialize, load};
    use super::*;
    use crate::declared::variables;

    fn read(text: &str) -> Value {
        let mut root = load::load("x", text).expect("YAML");
        variables::replace(&mut root, &|name| (name == "A").then(|| "v".to_owned())).expect("no variables");
        deserialize::from_node(&root).expect("values")
    }

    #[test]
    fn what_is_written_is_read_back() {
        let texts = [
            "",
            "a",
            "no",
            "007",
            "1.10",
            "a: b",
            "- a",
            "#x",
            "a$b${C}$$",
            "it's",
            "\"q\"",
            "two\nlines $X\t",
            " pad ",
            "é",
            "\u{7}",
            "\u{2028}",
            "a:",
            "/*",
            "*",
            "&a",
            "!x",
            "%",
            "@x",
            "`",
            "{a}",
            "[a]",
            "true",
            "~",
            "\r",
        ];
        for text in texts {
            let value = json!({ "key": text, text: [text, { "k": text }] });
            assert_eq!(read(&document(&value)), value, "{}", document(&value));
        }
        let value = json!({"versions": {"10": {"a": 1.5}, "2": {"b": [], "c": {}, "d": true}}});
        assert_eq!(read(&document(&value)), value);
        assert!(document(&value).find("2:") < document(&value).find("10:"), "{}", document(&value));
    }

    #[test]
    fn variables_stay_variables_and_absent_values_are_left_out() {
        let text = document(&json!({"a": variable("A:?why"), "n": null, "image": "hello:v1"}));
        assert_eq!(text, "image: hello:v1\na: \"${A:?why}\"\n");
        assert_eq!(read(&text), json!({"a": "v", "image": "hello:v1"}));
        let text = document(&json!({"a": template("x: \"${A}\" \\ $$b\n"), "b": variable("B:-a\"b")}));
        assert_eq!(read(&text), json!({"a": "x: \"v\" \\ $b\n", "b": "a\"b"}));
    }
}
