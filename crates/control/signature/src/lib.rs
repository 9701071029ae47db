//! Request signatures of the cloud API: authentication of the sender and integrity of the request.
//!
//! Two schemes: TC3-HMAC-SHA256 ([`tc3`], which also signs our own requests to this and other
//! products of the cloud) and the older HmacSHA1 and HmacSHA256 over parameters ([`v1`]). Pure:
//! callers pass the time. Neither scheme prevents replay within the clock window; clients retry.
#![forbid(unsafe_code)]

pub mod authorization;
mod clock;
mod host;
pub mod tc3;
pub mod v1;

use std::fmt;

use types::ErrorCode;

pub use clock::Clock;

/// A key pair of the cloud API, such as the root key pair of the installation.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Its public half.
    pub secret_id: String,
    /// Its secret half.
    pub secret_key: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("secret_id", &self.secret_id).finish_non_exhaustive()
    }
}

/// Why a request is not authenticated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The signature cannot be parsed, or lacks a part.
    #[error("{0}")]
    Malformed(String),
    /// The key pair does not exist.
    #[error("SecretId {secret_id:?} does not exist on this installation")]
    UnknownSecretId {
        /// Id in the request.
        secret_id: String,
    },
    /// The request was signed outside the clock window.
    #[error(
        "the request was signed at Unix time {timestamp_s} but the server's clock says {now_s}; they may differ by \
         {window_s} s at most"
    )]
    Expired {
        /// Time of signing.
        timestamp_s: i64,
        /// The server's time.
        now_s: i64,
        /// The allowed difference.
        window_s: u64,
    },
    /// The signature differs from the one computed over the request.
    #[error(
        "the signature does not match: the server signed {method} for host {host:?} with the key of SecretId \
         {secret_id:?} and got another one; the secret key is wrong, or the request was changed on its way"
    )]
    Mismatch {
        /// Method of the request.
        method: String,
        /// Host of the request.
        host: String,
        /// Id of the key pair.
        secret_id: String,
    },
}

impl Rejection {
    /// The API's error code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed(_) => ErrorCode::AUTH_INVALID_AUTHORIZATION,
            Self::UnknownSecretId { .. } => ErrorCode::AUTH_SECRET_ID_NOT_FOUND,
            Self::Expired { .. } => ErrorCode::AUTH_SIGNATURE_EXPIRE,
            Self::Mismatch { .. } => ErrorCode::AUTH_SIGNATURE_FAILURE,
        }
    }
}

/// Longest quotation of a client's text in a message, in characters.
const QUOTED_CHARS_MAX: usize = 100;

fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}

/// The secret key of an id.
fn key_of<'a>(secrets: &'a Secrets, secret_id: &str) -> Result<&'a str, Rejection> {
    if secrets.secret_id == secret_id {
        Ok(&secrets.secret_key)
    } else {
        Err(Rejection::UnknownSecretId { secret_id: quoted(secret_id) })
    }
}
