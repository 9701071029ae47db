//! Secrets: several at a time, so that they can be rotated without a gap.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::Scheme;

/// Shortest secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 16;
/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 512;
/// Maximum of secrets that are valid at a time.
pub const SECRETS_MAX: usize = 4;
/// Prefix of secrets of Standard Webhooks; base64 follows.
const PREFIX: &str = "whsec_";

/// The secrets of one scheme.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    scheme: Scheme,
    keys: Vec<Vec<u8>>,
}

/// Why secrets are invalid. Never shows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// There are none, or too many.
    #[error("1 to {SECRETS_MAX} secrets are needed, and there are {0}")]
    Count(usize),
    /// One is too short or too long.
    #[error("secret {index} has {bytes} bytes; {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} are allowed")]
    Length {
        /// Its position, from 1.
        index: usize,
        /// Its length.
        bytes: usize,
    },
    /// A secret of Standard Webhooks in another form.
    #[error("secret {index} of Standard Webhooks must be whsec_ and base64")]
    Form {
        /// Its position, from 1.
        index: usize,
    },
    /// A token that no header can carry.
    #[error("secret {index} is a bearer token and must be printable ASCII without spaces")]
    Token {
        /// Its position, from 1.
        index: usize,
    },
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Checks and decodes secrets from settings.
    ///
    /// # Errors
    /// The first invalid one.
    pub fn new<S: AsRef<str>>(scheme: Scheme, texts: &[S]) -> Result<Self, InvalidSecret> {
        if !(1..=SECRETS_MAX).contains(&texts.len()) {
            return Err(InvalidSecret::Count(texts.len()));
        }
        let keys = texts.iter().enumerate().map(|(at, text)| key(scheme, at + 1, text.as_ref()));
        Ok(Self { scheme, keys: keys.collect::<Result<_, _>>()? })
    }

    /// Their scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whether one of `signatures` is the HMAC-SHA256 of the parts under one of the secrets. Takes
    /// the same time whichever matches.
    pub(super) fn sign_one_of(&self, parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
        let mut found = Choice::from(0);
        for key in &self.keys {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
            for part in parts {
                mac.update(part);
            }
            let tag = mac.finalize().into_bytes();
            for signature in signatures {
                found |= tag.as_slice().ct_eq(signature);
            }
        }
        found.into()
    }

    /// Whether one of the secrets is this text. The time depends only on lengths.
    pub(super) fn contain(&self, text: &str) -> bool {
        let mut found = Choice::from(0);
        for key in &self.keys {
            found |= key.as_slice().ct_eq(text.as_bytes());
        }
        found.into()
    }
}

fn key(scheme: Scheme, index: usize, text: &str) -> Result<Vec<u8>, InvalidSecret> {
    let key = match scheme {
        Scheme::Standard if !text.is_empty() => {
            let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret::Form { index })?;
            STANDARD.decode(encoded).map_err(|_| InvalidSecret::Form { index })?
        }
        _ => text.as_bytes().to_vec(),
    };
    if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&key.len()) {
        return Err(InvalidSecret::Length { index, bytes: key.len() });
    }
    if scheme == Scheme::Bearer && !key.iter().all(u8::is_ascii_graphic) {
        return Err(InvalidSecret::Token { index });
    }
    Ok(key)
}
