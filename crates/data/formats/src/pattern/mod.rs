//! Event patterns, as in EventBridge: an object of the same shape as the event, whose leaves are
//! arrays of values or rules, one of which must match.
//!
//! ```text
//! {"type": ["order.paid"], "data": {"total": [{"numeric": [">=", 100]}]}}
//! ```
//! Where the event has an array, one of its elements must match. An absent member matches only
//! `{"exists": false}`.

mod parse;
mod rule;

use serde_json::Value;

use rule::Rule;

/// Longest text of a pattern, in bytes; EventBridge has the same.
pub const PATTERN_BYTES_MAX: usize = 4096;
/// Deepest nesting of a pattern.
pub const PATTERN_DEPTH_MAX: usize = 16;

/// A checked pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(Members);

/// An error in a pattern, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct Invalid {
    /// The place, such as `$.data.total[0].numeric`.
    pub path: String,
    /// The reason.
    pub why: String,
}

impl Pattern {
    /// Parses the JSON text of a pattern.
    ///
    /// # Errors
    /// The first error, with its path.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        parse::parse(text).map(Self)
    }

    /// Whether an event matches.
    pub fn matches(&self, event: &Value) -> bool {
        self.0.matches(Some(event))
    }

    /// Whether an event in these bytes matches.
    ///
    /// # Errors
    /// When they are not JSON that can be compared.
    pub fn matches_bytes(&self, event: &[u8]) -> Result<bool, serde_json::Error> {
        Ok(self.matches(&serde_json::from_slice(event)?))
    }
}

/// Members that must all match.
#[derive(Debug, Clone, PartialEq, Default)]
struct Members {
    fields: Vec<(String, Field)>,
    /// `$or`: one of these must match too, where there are any.
    alternatives: Vec<Members>,
}

#[derive(Debug, Clone, PartialEq)]
enum Field {
    Nested(Members),
    /// One of these must match.
    OneOf(Vec<Rule>),
}

impl Members {
    /// An absent value, or one that is not an object, has no members: only rules about absence
    /// match it.
    fn matches(&self, value: Option<&Value>) -> bool {
        if let Some(Value::Array(elements)) = value {
            return elements.iter().any(|element| self.matches(Some(element)));
        }
        let member = |name: &str| value.and_then(Value::as_object).and_then(|object| object.get(name));
        self.fields.iter().all(|(name, field)| field.matches(member(name)))
            && (self.alternatives.is_empty() || self.alternatives.iter().any(|one| one.matches(value)))
    }
}

impl Field {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Nested(members) => members.matches(value),
            Self::OneOf(rules) => rules.iter().any(|rule| match (rule, value) {
                (Rule::Exists(wanted), value) => *wanted == value.is_some(),
                (_, None) => false,
                (rule, Some(value)) => fits_an_element(rule, value),
            }),
        }
    }
}

fn fits_an_element(rule: &Rule, value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(|element| fits_an_element(rule, element)),
        Value::Object(_) => false,
        scalar => rule.fits(scalar),
    }
}

#[cfg(test)]
mod tests;
