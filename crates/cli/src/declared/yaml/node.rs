//! A YAML document as a tree whose nodes have source places.

use super::place::Place;

/// Quoting style of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Unquoted: may be a number, `true`, `false` or null.
    Plain,
    /// Single-quoted: a text without variables.
    Single,
    /// Double-quoted, or a block: a text.
    Text,
}

/// A scalar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    pub text: String,
    pub style: Style,
    /// Whether a variable was replaced in it; its type then follows from the field.
    pub substituted: bool,
}

/// The content of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    /// Entries in the order of the file; keys are unique.
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
    /// A custom tag, such as `!Ref`; YAML's own tags are left out.
    pub tag: Option<String>,
}

impl Node {
    /// Value of a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    /// Entries of a map; empty for other nodes.
    pub fn entries(&self) -> &[(Key, Self)] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Whether the node is null: `null`, `~`, or empty.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.is_null())
    }

    pub(super) fn extent(&self) -> Extent {
        match &self.content {
            Content::Scalar(scalar) => Extent { bytes: scalar.text.len(), nodes: 1, levels: 0 },
            Content::List(items) => items.iter().map(Self::extent).fold(Extent::EMPTY, Extent::with),
            Content::Map(entries) => {
                let of_entry = |(key, node): &(Key, Self)| {
                    let extent = node.extent();
                    Extent { bytes: extent.bytes + key.text.len(), ..extent }
                };
                entries.iter().map(of_entry).fold(Extent::EMPTY, Extent::with)
            }
        }
    }
}

/// Size of a node: bytes of texts and keys, number of nodes including itself, and levels below it.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub bytes: usize,
    pub nodes: usize,
    pub levels: usize,
}

impl Extent {
    /// Size of an empty list or map.
    const EMPTY: Self = Self { bytes: 0, nodes: 1, levels: 0 };

    /// Adds an entry.
    fn with(self, entry: Self) -> Self {
        Self {
            bytes: self.bytes + entry.bytes,
            nodes: self.nodes + entry.nodes,
            levels: self.levels.max(entry.levels + 1),
        }
    }
}

impl Scalar {
    /// Whether the scalar is null (YAML 1.2, 10.3.2).
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}
