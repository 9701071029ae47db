//! Parses the document of a file into a tree, within limits.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::error::Error;
use super::merge_key;
use super::node::{Content, Key, Node, Scalar, Style};
use super::place::Place;

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most nodes of a document, including those repeated by aliases.
const NODES_MAX: usize = 200_000;
/// Most bytes of text that a document's aliases repeat.
const REPEATED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Remedy for a file that is too large.
pub const SPLIT: &str = "Split it into several projects, each with a file of its own.";
/// Deepest nesting of a document.
const DEPTH_MAX: usize = 64;

/// Prefix of YAML's own tags, and those of the core schema (YAML 1.2, 10.3.1).
const CORE: &str = "tag:yaml.org,2002:";
const CORE_TAGS: [&str; 7] = ["null", "bool", "int", "float", "str", "seq", "map"];

/// Parses the only document of a file.
pub fn load(file: &str, text: &str) -> Result<Node, Error> {
    let file: Arc<str> = file.into();
    let start = Place { file: file.clone(), line: 1, column: 1 };
    if text.len() > FILE_BYTES_MAX {
        return Err(Error::new(start, format!("the file has more than {FILE_BYTES_MAX} bytes"), SPLIT));
    }
    let mut loader =
        Loader { file, events: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0, repeated_bytes: 0 };
    let mut root = None;
    loop {
        let (event, span) = loader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event if root.is_none() => root = Some(loader.node(event, span, 0)?),
            _ => {
                return Err(Error::new(
                    loader.place(span),
                    "a file must have a single document",
                    "Leave out the `---`.",
                ));
            }
        }
    }
    root.ok_or_else(|| Error::new(start, "the file is empty", ""))
}

struct Loader<'a> {
    file: Arc<str>,
    events: Parser<'a, granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    repeated_bytes: usize,
}

impl<'a> Loader<'a> {
    fn place(&self, span: Span) -> Place {
        Place { file: self.file.clone(), line: span.start.line(), column: span.start.col() + 1 }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Error> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let at = error.marker();
                let place = Place { file: self.file.clone(), line: at.line(), column: at.col() + 1 };
                Err(Error::new(place, format!("this is not YAML: {}", error.info()), ""))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Error> {
        let place = self.place(span);
        if depth > DEPTH_MAX {
            return Err(too_deep(place));
        }
        let (content, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.as_deref().is_some_and(|tag| tag.to_string() == format!("{CORE}str"));
                (scalar(text.into_owned(), if is_text { ScalarStyle::DoubleQuoted } else { style }), anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => (self.list(depth)?, anchor, tag),
            Event::MappingStart(_, anchor, tag) => (self.map(depth)?, anchor, tag),
            Event::Alias(anchor) => return self.repeated(anchor, place, depth),
            _ => return Err(Error::new(place, "a value is missing here", "")),
        };
        self.count(1, &place)?;
        let node = Node { place, content, tag: tag.as_deref().and_then(own_tag) };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Copies the node of an alias, with the place of the alias.
    fn repeated(&mut self, anchor: usize, place: Place, depth: usize) -> Result<Node, Error> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Error::new(place, "this alias has no anchor that ends before it", ""));
        };
        let extent = node.extent();
        if depth + extent.levels > DEPTH_MAX {
            return Err(too_deep(place));
        }
        self.repeated_bytes += extent.bytes;
        if self.repeated_bytes > REPEATED_BYTES_MAX {
            let message = format!("aliases repeat more than {REPEATED_BYTES_MAX} bytes");
            return Err(Error::new(place, message, "Write the values out, or use variables."));
        }
        let node = Node { place: place.clone(), ..node.clone() };
        self.count(extent.nodes, &place)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, place: &Place) -> Result<(), Error> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(Error::new(place.clone(), format!("the file has more than {NODES_MAX} values"), SPLIT));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Content, Error> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Content::List(items)),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Error> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        let mut merged = None;
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                merge_key::take_over(&mut entries, merged)?;
                return Ok(Content::Map(entries));
            }
            let Node { place, content: Content::Scalar(key), .. } = self.node(event, span, depth + 1)? else {
                return Err(Error::new(self.place(span), "a key must be a text", "Put it in quotes."));
            };
            if key.is_null() {
                return Err(Error::new(place, "a key is missing here", "Write a name before the colon."));
            }
            let is_merge_key = merge_key::is(&key);
            let text = key.text;
            if let Some(first) = lines.insert(text.clone(), place.line) {
                let message = format!("duplicate key `{text}`, first in line {first}");
                return Err(Error::new(place, message, "Leave one of them out."));
            }
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if is_merge_key {
                merged = Some(node);
            } else {
                entries.push((Key { text, place }, node));
            }
        }
    }
}

fn too_deep(place: Place) -> Error {
    Error::new(place, format!("it is nested more than {DEPTH_MAX} levels deep"), "")
}

fn scalar(text: String, style: ScalarStyle) -> Content {
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        _ => Style::Text,
    };
    Content::Scalar(Scalar { text, style, substituted: false })
}

/// A tag such as `!Ref`; `None` for tags of the core schema.
fn own_tag(tag: &Tag) -> Option<String> {
    let text = tag.to_string();
    let core = text.strip_prefix(CORE).is_some_and(|name| CORE_TAGS.contains(&name));
    (!core).then_some(text)
}
