//! References to secrets: `NAME` follows the newest version, `NAME@3` is pinned to version 3. In
//! the value of a variable they are written `{{secret:NAME}}`. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::SecretName;

/// Beginning of a reference in a variable's value.
const OPEN: &str = "{{secret:";
/// End of a reference.
const CLOSE: &str = "}}";

/// A reference of a function's version to a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretRef {
    /// Name of the secret, in the function's namespace.
    pub name: SecretName,
    /// Version of the secret; `None` for the newest.
    pub version: Option<u32>,
}

impl FromStr for SecretRef {
    type Err = String;

    /// Parses `NAME` or `NAME@VERSION`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            None => (text, None),
            Some((name, number)) => {
                let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
                let number = digits.then(|| number.parse().ok()).flatten().filter(|number: &u32| *number > 0);
                let wrong = || format!("{text:?} is not NAME or NAME@VERSION, such as db@3");
                (name, Some(number.ok_or_else(wrong)?))
            }
        };
        let name = name.parse::<SecretName>().map_err(|error| error.to_string())?;
        Ok(Self { name, version })
    }
}

impl TryFrom<String> for SecretRef {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => write!(f, "{}", self.name),
            Some(version) => write!(f, "{}@{version}", self.name),
        }
    }
}

impl SecretRef {
    /// The form in a variable's value.
    pub fn in_variable(&self) -> String {
        format!("{OPEN}{self}{CLOSE}")
    }
}

/// A part of a variable's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// Literal text.
    Text(&'a str),
    /// The value of a secret.
    Secret(SecretRef),
}

/// Splits a variable's value. Only `{{secret:` begins a reference.
///
/// # Errors
/// The malformed reference, and the remedy.
pub fn parts(value: &str) -> Result<Vec<Part<'_>>, String> {
    let (mut parts, mut rest) = (Vec::new(), value);
    while let Some((text, after)) = rest.split_once(OPEN) {
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        let form = || format!("{OPEN} without {CLOSE} after it; write {OPEN}NAME{CLOSE} or {OPEN}NAME@VERSION{CLOSE}");
        let (reference, after) = after.split_once(CLOSE).ok_or_else(form)?;
        parts.push(Part::Secret(reference.parse()?));
        rest = after;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Part<'static> {
        Part::Secret(text.parse().expect(text))
    }

    #[test]
    fn a_value_has_references_among_its_text() {
        for (value, wanted) in [
            ("", vec![Part::Text("")]),
            ("plain {{x}} {secret:a}", vec![Part::Text("plain {{x}} {secret:a}")]),
            ("{{secret:db}}", vec![secret("db")]),
            ("{{secret:db@3}}", vec![secret("db@3")]),
            (
                "postgres://app:{{secret:db}}@h/{{secret:n.1}}?x",
                vec![Part::Text("postgres://app:"), secret("db"), Part::Text("@h/"), secret("n.1"), Part::Text("?x")],
            ),
        ] {
            assert_eq!(parts(value), Ok(wanted), "{value}");
        }
    }

    #[test]
    fn a_malformed_reference_is_refused() {
        for (value, why) in [
            ("{{secret:db", "without }}"),
            ("{{secret:}}", "secret name"),
            ("{{secret: db}}", "secret name"),
            ("{{secret:.hidden}}", "secret name"),
            ("{{secret:a/b}}", "secret name"),
            ("{{secret:db@}}", "NAME@VERSION"),
            ("{{secret:db@0}}", "NAME@VERSION"),
            ("{{secret:db@+1}}", "NAME@VERSION"),
            ("{{secret:db@99999999999}}", "NAME@VERSION"),
        ] {
            let error = parts(value).expect_err(value);
            assert!(error.contains(why), "{value}: {error}");
        }
    }

    #[test]
    fn a_reference_is_shown_as_it_is_read() {
        for text in ["db", "db@12"] {
            let reference: SecretRef = text.parse().expect(text);
            assert_eq!(reference.to_string(), text);
            assert_eq!(parts(&reference.in_variable()), Ok(vec![Part::Secret(reference.clone())]));
            let json = serde_json::to_string(&reference).expect("serializes");
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<SecretRef>(&json).expect("reads"), reference);
        }
    }
}
