//! Typed identifiers and their grammars.

mod version;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::version::{Qualifier, VersionKey, VersionName};
use crate::limits;

/// Why a text is not a valid identifier: the kind, the text, and the violated rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?} is not valid: {rule}")]
pub struct InvalidId {
    /// Kind of identifier for users: `function name`, `namespace`…
    pub kind: &'static str,
    /// The refused text.
    pub text: String,
    /// The rule, as a sentence fragment that describes a valid text.
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text of the identifier.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { kind: $kind, text: text.chars().take(200).collect(), rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn word_bytes(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

text_id!(
    /// Name of a function, unique within its namespace.
    FunctionName,
    "function name",
    "use 2 to 60 letters, digits, '-' and '_', begin with a letter and end with a letter or digit",
    |t| (2..=limits::FUNCTION_NAME_LEN_MAX).contains(&t.len())
        && word_bytes(t)
        && t.as_bytes()[0].is_ascii_alphabetic()
        && t.as_bytes()[t.len() - 1].is_ascii_alphanumeric()
);

text_id!(
    /// Name of a namespace.
    Namespace,
    "namespace",
    "use 1 to 60 letters, digits, '-' and '_', beginning with a letter or digit",
    |t| (1..=limits::NAMESPACE_LEN_MAX).contains(&t.len()) && word_bytes(t) && t.as_bytes()[0].is_ascii_alphanumeric()
);

text_id!(
    /// Name of a volume.
    VolumeName,
    "volume name",
    "use 1 to 40 lower-case letters, digits and '-', beginning with a letter or digit, and not `roots`",
    |t| (1..=limits::VOLUME_NAME_LEN_MAX).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !t.starts_with('-')
        // A key of `[volumes]` that is not a volume and has no underscore.
        && t != "roots"
);

text_id!(
    /// Name of a secret, unique within its namespace.
    SecretName,
    "secret name",
    "use 1 to 64 letters, digits, '-', '_' and '.', beginning with a letter or digit",
    |t| (1..=limits::SECRET_NAME_LEN_MAX).contains(&t.len())
        && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && t.as_bytes()[0].is_ascii_alphanumeric()
);

text_id!(
    /// Platform id of a function, `lam-` and eight lower-case letters or digits; never reused.
    FunctionId,
    "function id",
    "use lam- and eight lower-case letters or digits",
    |t| t.strip_prefix("lam-").is_some_and(
        |r| r.len() == 8 && r.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    )
);

text_id!(
    /// Platform id of a trigger, `trg-` and twelve lower-case letters or digits; never reused.
    TriggerId,
    "trigger id",
    "use trg- and twelve lower-case letters or digits",
    |t| t.strip_prefix("trg-").is_some_and(
        |r| r.len() == 12 && r.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    )
);

text_id!(
    /// A content digest in the form of the OCI image specification; only `sha256:` and 64
    /// lower-case hexadecimal digits.
    Digest,
    "digest",
    "use sha256: and 64 lower-case hexadecimal digits",
    |t| t.strip_prefix("sha256:").is_some_and(
        |r| r.len() == 64 && r.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    )
);

text_id!(
    /// Id of one invocation: a UUID in its hyphenated lower-case form.
    RequestId,
    "request id",
    "use a UUID",
    |t| t.len() == 36 && t.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
);

text_id!(
    /// Id of one instance, unique over the life of a data directory: `i-` and a UUID without
    /// hyphens.
    InstanceId,
    "instance id",
    "use i- and 32 hexadecimal digits",
    |t| t.strip_prefix("i-").is_some_and(|r| r.len() == 32 && r.bytes().all(|b| b.is_ascii_hexdigit()))
);

impl Namespace {
    /// The namespace of requests without one; always exists.
    pub fn default_namespace() -> Self {
        Self("default".into())
    }
}

impl FunctionId {
    /// A random id.
    pub fn random() -> Self {
        Self(format!("lam-{}", random_tail(8)).into())
    }
}

impl TriggerId {
    /// A random id.
    pub fn random() -> Self {
        Self(format!("trg-{}", random_tail(12)).into())
    }
}

fn random_tail(len: usize) -> String {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..len).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect()
}

impl Digest {
    /// A digest from the 32 bytes of a SHA-256.
    pub fn from_sha256(hash: &[u8; 32]) -> Self {
        use fmt::Write;
        let mut text = String::with_capacity(71);
        text.push_str("sha256:");
        for byte in hash {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        }
        Self(text.into())
    }

    /// The 64 hexadecimal digits after `sha256:`.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl RequestId {
    /// A random id.
    pub fn random() -> Self {
        let mut text = uuid::Uuid::encode_buffer();
        Self((&*uuid::Uuid::new_v4().as_hyphenated().encode_lower(&mut text)).into())
    }
}

impl InstanceId {
    /// A random id.
    pub fn random() -> Self {
        Self(format!("i-{}", uuid::Uuid::new_v4().as_simple()).into())
    }
}

/// A function by namespace and name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionKey {
    /// The namespace.
    pub namespace: Namespace,
    /// The name within it.
    pub name: FunctionName,
}

impl fmt::Display for FunctionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for FunctionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_names_follow_the_contract() {
        for good in ["ab", "a1", "hello-world_2", &"a".repeat(60)] {
            assert!(good.parse::<FunctionName>().is_ok(), "{good}");
        }
        for bad in ["", "a", "1a", "a-", "a_", "a b", "é1", &"a".repeat(61)] {
            assert!(bad.parse::<FunctionName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn random_ids_parse_back() {
        assert!(TriggerId::random().as_str().parse::<TriggerId>().is_ok());
        assert!(FunctionId::random().as_str().parse::<FunctionId>().is_ok());
        assert!(RequestId::random().as_str().parse::<RequestId>().is_ok());
        assert!(InstanceId::random().as_str().parse::<InstanceId>().is_ok());
        assert!(Digest::from_sha256(&[7; 32]).as_str().parse::<Digest>().is_ok());
    }
}
