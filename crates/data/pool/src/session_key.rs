//! The key that keeps the requests of one session together.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Identifies a session of one version; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey(Arc<str>);

/// Longest session key, in bytes.
pub const SESSION_KEY_BYTES_MAX: usize = 1024;

/// Why a text is not a session key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSessionKey {
    /// It has no characters.
    #[error("the key of a session is empty; leave it out or give it a value")]
    Empty,
    /// It is too long.
    #[error("the key of a session has {bytes} bytes; the limit is {SESSION_KEY_BYTES_MAX}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl SessionKey {
    /// Creates a key from this text, unchanged.
    pub fn new(text: &str) -> Result<Self, InvalidSessionKey> {
        match text.len() {
            0 => Err(InvalidSessionKey::Empty),
            bytes if bytes > SESSION_KEY_BYTES_MAX => Err(InvalidSessionKey::TooLong { bytes }),
            _ => Ok(Self(text.into())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for SessionKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_between_one_and_so_many_bytes() {
        assert_eq!(SessionKey::new("").unwrap_err(), InvalidSessionKey::Empty);
        assert_eq!(SessionKey::new("a b").unwrap().as_str(), "a b");
        assert!(SessionKey::new(&"x".repeat(SESSION_KEY_BYTES_MAX)).is_ok());
        let long = SessionKey::new(&"x".repeat(SESSION_KEY_BYTES_MAX + 1));
        assert_eq!(long.unwrap_err(), InvalidSessionKey::TooLong { bytes: SESSION_KEY_BYTES_MAX + 1 });
    }
}
