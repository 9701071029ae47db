//! Versions of functions, and the qualifiers that name a version or an alias.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FunctionId, InvalidId, word_bytes};
use crate::limits;

/// Name of a version of a function: `$LATEST`, which is mutable, or a published number, which is
/// immutable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum VersionName {
    /// The mutable version; deployments change it.
    Latest,
    /// A published, immutable version; from 1.
    Number(u32),
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("$LATEST"),
            Self::Number(n) => write!(f, "{n}"),
        }
    }
}

impl FromStr for VersionName {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            kind: "version",
            text: text.chars().take(200).collect(),
            rule: "use $LATEST or a published number",
        };
        if text == "$LATEST" {
            return Ok(Self::Latest);
        }
        if text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        text.parse().map(Self::Number).map_err(|_| invalid())
    }
}

impl TryFrom<String> for VersionName {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<VersionName> for String {
    fn from(version: VersionName) -> String {
        version.to_string()
    }
}

/// One version at one generation; identifies a group of equal instances.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionKey {
    /// The function.
    pub function_id: FunctionId,
    /// The version.
    pub version: VersionName,
    /// Its generation.
    pub generation: u64,
}

/// Qualifier of a call: a version, or an alias that points to one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Qualifier {
    /// `$LATEST` or a number.
    Version(VersionName),
    /// `$DEFAULT` or a named alias.
    Alias(Arc<str>),
}

impl Qualifier {
    /// The version `$LATEST`.
    pub const LATEST: Self = Self::Version(VersionName::Latest);
    /// Name of the alias that every function has.
    pub const DEFAULT_ALIAS: &str = "$DEFAULT";
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Alias(name) => f.write_str(name),
        }
    }
}

impl TryFrom<String> for Qualifier {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Qualifier> for String {
    fn from(qualifier: Qualifier) -> String {
        qualifier.to_string()
    }
}

impl FromStr for Qualifier {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if let Ok(version) = text.parse() {
            return Ok(Self::Version(version));
        }
        let alias = text == Self::DEFAULT_ALIAS
            || (text.len() <= limits::ALIAS_LEN_MAX
                && word_bytes(text)
                && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()));
        if alias {
            Ok(Self::Alias(text.into()))
        } else {
            Err(InvalidId {
                kind: "qualifier",
                text: text.chars().take(200).collect(),
                rule: "use $LATEST, $DEFAULT, a published number, or an alias of 1 to 64 letters, digits, '-' and '_'",
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualifiers_tell_versions_from_aliases() {
        assert_eq!("$LATEST".parse(), Ok(Qualifier::LATEST));
        assert_eq!("12".parse(), Ok(Qualifier::Version(VersionName::Number(12))));
        assert_eq!("$DEFAULT".parse(), Ok(Qualifier::Alias("$DEFAULT".into())));
        assert!("012".parse::<Qualifier>().is_err());
        assert!("$OTHER".parse::<Qualifier>().is_err());
    }
}
