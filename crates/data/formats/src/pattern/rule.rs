//! Rules for a leaf of an event.

use std::net::IpAddr;

use serde_json::{Number, Value};

/// A condition on one value that is neither array nor object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    /// Equality; numbers by their value, in any notation.
    Exact(Value),
    /// A text with this prefix.
    Prefix(Text),
    /// A text with this suffix.
    Suffix(Text),
    /// Equality except for letter case.
    IgnoreCase(String),
    /// A text with `*` for any characters.
    Wildcard(Wildcard),
    /// None of these matches.
    AnythingBut(Vec<Rule>),
    /// A number for which all comparisons hold.
    Numeric(Vec<(Comparison, f64)>),
    /// Whether the member is present; not decided here.
    Exists(bool),
    /// A text that is an address of this network.
    Cidr(Network),
}

/// A text to compare with, optionally case-insensitive (and then in lower case).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    pub text: String,
    pub ignore_case: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

impl Rule {
    pub(super) fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Exact(Value::Number(wanted)) => {
                matches!(value, Value::Number(number) if same_number(wanted, number))
            }
            Self::Exact(wanted) => wanted == value,
            Self::AnythingBut(rules) => !rules.iter().any(|rule| rule.fits(value)),
            Self::Numeric(comparisons) => {
                let number = value.as_f64();
                number
                    .is_some_and(|number| comparisons.iter().all(|(comparison, with)| comparison.holds(number, *with)))
            }
            Self::Exists(wanted) => *wanted,
            Self::Prefix(_) | Self::Suffix(_) | Self::IgnoreCase(_) | Self::Wildcard(_) | Self::Cidr(_) => {
                value.as_str().is_some_and(|text| self.fits_text(text))
            }
        }
    }

    fn fits_text(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => prefix.compare(text, |text, prefix| text.starts_with(prefix)),
            Self::Suffix(suffix) => suffix.compare(text, |text, suffix| text.ends_with(suffix)),
            Self::IgnoreCase(wanted) => text.to_lowercase() == *wanted,
            Self::Wildcard(wildcard) => wildcard.fits(text),
            Self::Cidr(network) => text.parse().is_ok_and(|address| network.contains(address)),
            _ => false,
        }
    }
}

impl Text {
    fn compare(&self, text: &str, how: impl Fn(&str, &str) -> bool) -> bool {
        match self.ignore_case {
            true => how(&text.to_lowercase(), &self.text),
            false => how(text, &self.text),
        }
    }
}

impl Comparison {
    fn holds(self, number: f64, with: f64) -> bool {
        match self {
            Self::Less => number < with,
            Self::LessOrEqual => number <= with,
            Self::Equal => number == with,
            Self::GreaterOrEqual => number >= with,
            Self::Greater => number > with,
        }
    }
}

/// Whole numbers are compared exactly, others as doubles.
fn same_number(one: &Number, other: &Number) -> bool {
    one == other || (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
}

/// The literal parts between the stars of a wildcard.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wildcard(pub Vec<String>);

impl Wildcard {
    /// Linear: each part is matched at its first occurrence.
    fn fits(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return text == first };
        let Some(mut left) = text.strip_prefix(first.as_str()) else { return false };
        for part in middle {
            let Some(at) = left.find(part.as_str()) else { return false };
            left = &left[at + part.len()..];
        }
        left.ends_with(last.as_str())
    }
}

/// Addresses with a common prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    pub address: IpAddr,
    pub bits: u32,
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same_bits(network.to_bits().into(), address.to_bits().into(), 32 - self.bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same_bits(network.to_bits(), address.to_bits(), 128 - self.bits)
            }
            _ => false,
        }
    }
}

fn same_bits(one: u128, other: u128, ignored: u32) -> bool {
    (one ^ other).checked_shr(ignored).unwrap_or(0) == 0
}
