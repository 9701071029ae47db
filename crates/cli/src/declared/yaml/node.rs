//! A YAML document as a tree whose nodes know where they were written.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::error::Error;
use super::place::Place;

/// Bytes of a file.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Nodes of a document, with those that its aliases repeat.
const NODES_MAX: usize = 200_000;
/// Bytes of texts that the aliases of a document repeat.
const REPEATED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Levels of a document.
const DEPTH_MAX: usize = 64;

/// Prefix of YAML's own tags, and those of the core schema (YAML 1.2, 10.3.1).
const CORE: &str = "tag:yaml.org,2002:";
const CORE_TAGS: [&str; 7] = ["null", "bool", "int", "float", "str", "seq", "map"];

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: may be a number, `true`, `false` or null.
    Plain,
    /// In single quotes: a text without variables.
    Single,
    /// In double quotes, or a block: a text.
    Text,
}

/// A scalar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    pub text: String,
    pub style: Style,
    /// A variable was replaced in it, so that its type is what the field needs.
    pub substituted: bool,
}

/// The content of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub text: String,
    pub place: Place,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub place: Place,
    pub content: Content,
    /// A tag of its own, such as `!Ref`; those of YAML itself are left out.
    pub tag: Option<String>,
}

impl Node {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    /// The entries of a map; none of another node.
    pub fn entries(&self) -> &[(Key, Self)] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Whether it is null: written as `null` or `~`, or left empty.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.is_null())
    }

    /// Bytes of its texts and keys.
    fn bytes(&self) -> usize {
        match &self.content {
            Content::Scalar(scalar) => scalar.text.len(),
            Content::List(items) => items.iter().map(Self::bytes).sum(),
            Content::Map(entries) => entries.iter().map(|(key, node)| key.text.len() + node.bytes()).sum(),
        }
    }

    fn count(&self) -> usize {
        1 + match &self.content {
            Content::Scalar(_) => 0,
            Content::List(items) => items.iter().map(Self::count).sum(),
            Content::Map(entries) => entries.iter().map(|(_, node)| node.count()).sum(),
        }
    }
}

impl Scalar {
    /// Whether it is null (YAML 1.2, 10.3.2).
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

/// Reads the only document of a file.
pub fn load(file: &str, text: &str) -> Result<Node, Error> {
    let file: Arc<str> = file.into();
    let start = Place { file: file.clone(), line: 1, column: 1 };
    if text.len() > FILE_BYTES_MAX {
        return Err(Error::new(start, format!("the file has more than {FILE_BYTES_MAX} bytes"), ""));
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
            _ => return Err(Error::new(loader.place(span), "a file has one document", "Leave out the `---`.")),
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
            return Err(Error::new(place, format!("it is nested more than {DEPTH_MAX} levels deep"), ""));
        }
        let (content, anchor, tag) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.as_deref().is_some_and(|tag| tag.to_string() == format!("{CORE}str"));
                (scalar(text.into_owned(), if is_text { ScalarStyle::DoubleQuoted } else { style }), anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => (self.list(depth)?, anchor, tag),
            Event::MappingStart(_, anchor, tag) => (self.map(depth)?, anchor, tag),
            Event::Alias(anchor) => return self.repeated(anchor, place),
            _ => return Err(Error::new(place, "a value is missing here", "")),
        };
        self.count(1, &place)?;
        let node = Node { place, content, tag: tag.as_deref().and_then(own_tag) };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// The node of an alias, at the place of the alias.
    fn repeated(&mut self, anchor: usize, place: Place) -> Result<Node, Error> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Error::new(place, "this alias has no anchor that ends before it", ""));
        };
        self.repeated_bytes += node.bytes();
        if self.repeated_bytes > REPEATED_BYTES_MAX {
            let message = format!("aliases repeat more than {REPEATED_BYTES_MAX} bytes");
            return Err(Error::new(place, message, "Write the values out, or use variables."));
        }
        let node = Node { place: place.clone(), ..node.clone() };
        self.count(node.count(), &place)?;
        Ok(node)
    }

    fn count(&mut self, nodes: usize, place: &Place) -> Result<(), Error> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return Err(Error::new(place.clone(), format!("the file has more than {NODES_MAX} values"), ""));
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
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Content::Map(entries));
            }
            let Node { place, content: Content::Scalar(Scalar { text, .. }), .. } =
                self.node(event, span, depth + 1)?
            else {
                return Err(Error::new(self.place(span), "a key is a text", "Put it in quotes."));
            };
            if let Some(first) = lines.insert(text.clone(), place.line) {
                let message = format!("`{text}` is there twice: first in line {first}");
                return Err(Error::new(place, message, "Leave one of them out."));
            }
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            entries.push((Key { text, place }, node));
        }
    }
}

fn scalar(text: String, style: ScalarStyle) -> Content {
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        _ => Style::Text,
    };
    Content::Scalar(Scalar { text, style, substituted: false })
}

/// The tag, such as `!Ref`; `None` for those of the core schema, which say what is there anyway.
fn own_tag(tag: &Tag) -> Option<String> {
    let text = tag.to_string();
    let core = text.strip_prefix(CORE).is_some_and(|name| CORE_TAGS.contains(&name));
    (!core).then_some(text)
}
