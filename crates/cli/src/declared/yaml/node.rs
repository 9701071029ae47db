//! A YAML document as a tree whose nodes know where they were written.

use super::place::Place;

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

/// How much a node is: bytes of its texts and keys, nodes with itself, and levels below it.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub bytes: usize,
    pub nodes: usize,
    pub levels: usize,
}

impl Extent {
    /// Of a list or map without entries.
    const EMPTY: Self = Self { bytes: 0, nodes: 1, levels: 0 };

    /// With another entry.
    fn with(self, entry: Self) -> Self {
        Self {
            bytes: self.bytes + entry.bytes,
            nodes: self.nodes + entry.nodes,
            levels: self.levels.max(entry.levels + 1),
        }
    }
}

impl Scalar {
    /// Whether it is null (YAML 1.2, 10.3.2).
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}
