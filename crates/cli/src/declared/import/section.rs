//! Reader of a map in another tool's file; keys that are not taken are reported as left out.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::declared::yaml::node::{Content, Node};
use crate::declared::yaml::place::Place;
use crate::declared::yaml::write;

/// Note about a value with a variable of the other tool.
const FOREIGN: &str = "it contains a variable of the other tool; replace it by its value";

/// A scalar type, with its description for error messages.
pub trait Parsed: FromStr {
    const WHAT: &'static str;
}

impl Parsed for u16 {
    const WHAT: &'static str = "a whole number from 0 to 65535";
}

impl Parsed for u32 {
    const WHAT: &'static str = "a whole number from 0 to 4294967295";
}

impl Parsed for bool {
    const WHAT: &'static str = "true or false";
}

/// A map whose keys are taken one by one.
pub struct Section<'a> {
    path: String,
    entries: Vec<(&'a str, &'a Node)>,
    /// Node and path of the entry that was taken last.
    last: Option<(&'a Node, String)>,
    left_out: &'a mut Vec<String>,
}

impl<'a> Section<'a> {
    /// Reads the map of a node at a path of keys.
    pub fn of(node: &'a Node, path: &str, left_out: &'a mut Vec<String>) -> Self {
        let entries = node.entries().iter().map(|(key, node)| (key.text.as_str(), node)).collect();
        Self { path: path.to_owned(), entries, last: None, left_out }
    }

    /// Takes the node of a key, which then counts as used.
    pub fn take(&mut self, key: &str) -> Option<&'a Node> {
        let at = self.entries.iter().position(|(name, _)| *name == key)?;
        let (_, node) = self.entries.remove(at);
        self.last = Some((node, self.below(key)));
        (!node.is_null()).then_some(node)
    }

    /// Takes a nested map and reads it with `read`.
    pub fn section<R>(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>) -> R) -> Option<R> {
        let (node, path) = (self.take(key)?, self.below(key));
        let mut section = Section::of(node, &path, self.left_out);
        let value = read(&mut section);
        section.finish();
        Some(value)
    }

    /// Takes a text.
    pub fn text(&mut self, key: &str) -> Option<Value> {
        let node = self.take(key)?;
        self.value(node)
    }

    /// Takes a number or truth value.
    pub fn parsed<T: Parsed>(&mut self, key: &str) -> Option<T> {
        let node = self.take(key)?;
        let known = text(node).or_else(|| default(node).map(|(_, default)| default.to_owned()));
        let parsed = known.and_then(|text| text.parse().ok());
        if parsed.is_none() {
            self.say(problem(node, T::WHAT));
        }
        parsed
    }

    /// Takes a list of words, or one text.
    pub fn words(&mut self, key: &str) -> Option<Value> {
        let node = self.take(key)?;
        let Content::List(items) = &node.content else { return self.value(node) };
        let words: Option<Vec<Value>> = items.iter().map(|item| self.value(item)).collect();
        words.map(Value::Array)
    }

    /// Takes a map of texts.
    pub fn texts(&mut self, key: &str) -> Option<Value> {
        self.section(key, |section| {
            let keys: Vec<&str> = section.entries.iter().map(|(key, _)| *key).collect();
            let texts = keys.into_iter().filter_map(|key| Some((key.to_owned(), section.text(key)?)));
            Value::Object(texts.collect::<Map<_, _>>())
        })
    }

    /// Adds a note about the entry that was taken last.
    pub fn say(&mut self, what: String) {
        if let Some((node, path)) = &self.last {
            self.left_out.push(format!("{}: {path}: {what}", node.place));
        }
    }

    /// Keys that were not taken.
    pub fn keys(&self) -> Vec<String> {
        self.entries.iter().map(|(key, _)| (*key).to_owned()).collect()
    }

    /// Adds a note about a given place.
    pub fn say_of(&mut self, place: &Place, path: &str, what: &str) {
        self.left_out.push(format!("{place}: {path}: {what}"));
    }

    /// Adds a note for each key that was not taken.
    pub fn finish(self) {
        let Self { path, entries, left_out, .. } = self;
        let lines =
            entries.into_iter().map(|(key, node)| format!("{}: {}: not imported", node.place, joined(&path, key)));
        left_out.extend(lines);
    }

    fn value(&mut self, node: &Node) -> Option<Value> {
        let value = known(node);
        if value.is_none() {
            self.say(problem(node, "a text"));
        }
        value.map(Value::String)
    }

    fn below(&self, key: &str) -> String {
        joined(&self.path, key)
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Note about a value that cannot be converted, and the expected type.
pub fn problem(node: &Node, wanted: &str) -> String {
    match &node.content {
        _ if node.tag.is_some() => FOREIGN.to_owned(),
        Content::Map(entries) if entries.iter().any(|(key, _)| key.text == "Ref" || key.text.starts_with("Fn::")) => {
            FOREIGN.to_owned()
        }
        Content::Scalar(scalar) if scalar.text.contains("${") => FOREIGN.to_owned(),
        Content::Scalar(scalar) => format!("expected {wanted}, found {:?}; not imported", scalar.text),
        Content::List(_) => format!("expected {wanted}, found a list; not imported"),
        Content::Map(_) => format!("expected {wanted}, found keys; not imported"),
    }
}

/// Text of a scalar without variables.
pub fn text(node: &Node) -> Option<String> {
    match &node.content {
        Content::Scalar(scalar) if node.tag.is_none() && !scalar.text.contains("${") => Some(scalar.text.clone()),
        _ => None,
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Content of the braces of a parameter without a default.
pub fn required(name: &str) -> String {
    format!("{name}:?the template's parameter {name}")
}

/// Whether a variable cannot have this default: a brace would end it.
pub fn ends_variable(default: &str) -> bool {
    default.contains(['{', '}', '$', '\n'])
}

/// Splits a reference with a default into parameter name and default.
fn default(node: &Node) -> Option<(&str, &str)> {
    let Content::Scalar(scalar) = &node.content else { return None };
    let parts = scalar.text.split_once(":-").filter(|(name, _)| is_name(name));
    parts.filter(|_| node.tag.as_deref() == Some("!Ref"))
}

/// Text of a scalar; references to the environment and to parameters become variables.
fn known(node: &Node) -> Option<String> {
    let Content::Scalar(scalar) = &node.content else { return None };
    if let Some((name, default)) = default(node) {
        let text = || write::variable(&format!("{name}:-{default}"));
        return Some(if ends_variable(default) { default.to_owned() } else { text() });
    }
    match node.tag.as_deref() {
        Some("!Ref") if is_name(&scalar.text) => Some(write::variable(&required(&scalar.text))),
        Some("!Sub") if write::is_template(&scalar.text) => Some(scalar.text.clone()),
        Some(_) => None,
        None => match scalar.text.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if is_name(name) => Some(write::variable(name)),
            _ => text(node),
        },
    }
}
