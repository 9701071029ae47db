//! Filter of a trigger's changes.

use super::Change;
use super::cos::cos_name;

/// Event names of the contract's object store.
const NAMES: [&str; 12] = [
    "cos:ObjectCreated:*",
    "cos:ObjectCreated:Put",
    "cos:ObjectCreated:Post",
    "cos:ObjectCreated:Copy",
    "cos:ObjectCreated:Append",
    "cos:ObjectCreated:CompleteMultipartUpload",
    "cos:ObjectRemove:*",
    "cos:ObjectRemove:Delete",
    "cos:ObjectRemove:DeleteMarkerCreated",
    "cos:ObjectRestore:*",
    "cos:ObjectRestore:Post",
    "cos:ObjectRestore:Completed",
];

/// Longest key of an object, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// A filter by event name and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    event: &'static str,
    prefix: String,
    suffix: String,
}

/// Why a filter is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// No such event.
    #[error("event {0:?} does not exist; use one of {names}", names = NAMES.join(", "))]
    Event(String),
    /// Longer than any key.
    #[error("{part} has {bytes} bytes; keys have at most {KEY_BYTES_MAX}")]
    TooLong {
        /// `Prefix` or `Suffix`.
        part: &'static str,
        /// Its length.
        bytes: usize,
    },
}

impl Filter {
    /// Checks a filter: `event` such as `cos:ObjectCreated:*`, and parts of keys, decoded.
    ///
    /// # Errors
    /// See [`InvalidFilter`].
    pub fn new(event: &str, prefix: &str, suffix: &str) -> Result<Self, InvalidFilter> {
        let known = NAMES.into_iter().find(|name| *name == event);
        let event = known.ok_or_else(|| InvalidFilter::Event(crate::quoted(event)))?;
        for (part, text) in [("Prefix", prefix), ("Suffix", suffix)] {
            if text.len() > KEY_BYTES_MAX {
                return Err(InvalidFilter::TooLong { part, bytes: text.len() });
            }
        }
        Ok(Self { event, prefix: prefix.to_owned(), suffix: suffix.to_owned() })
    }

    /// Whether a change matches.
    pub fn matches(&self, change: &Change) -> bool {
        cos_name(&change.name).is_some_and(|name| self.takes(name))
            && change.key.starts_with(&self.prefix)
            && change.key.ends_with(&self.suffix)
    }

    /// The name of the events.
    pub fn event(&self) -> &'static str {
        self.event
    }

    /// Required prefix of keys.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Required suffix of keys.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// Whether both can match the same change.
    pub fn overlaps(&self, other: &Self) -> bool {
        let either = |one: &str, other: &str, begins: fn(&str, &str) -> bool| begins(one, other) || begins(other, one);
        (self.takes(other.event) || other.takes(self.event))
            && either(&self.prefix, &other.prefix, |text, part| text.starts_with(part))
            && either(&self.suffix, &other.suffix, |text, part| text.ends_with(part))
    }

    fn takes(&self, name: &str) -> bool {
        match self.event.strip_suffix('*') {
            Some(family) => name.starts_with(family),
            None => name == self.event,
        }
    }
}
