//! Signatures of webhooks, verified over the received bytes, before any of them is parsed.
//!
//! | scheme | signature | of |
//! | --- | --- | --- |
//! | Standard Webhooks | `webhook-signature: v1,BASE64 …` | `webhook-id.webhook-timestamp.body` |
//! | GitHub | `X-Hub-Signature-256: sha256=HEX` | `body` |
//! | Stripe | `Stripe-Signature: t=SECONDS,v1=HEX,…` | `SECONDS.body` |
//! | token | `Authorization: Bearer TOKEN`, or the password of `Basic` | nothing |
//!
//! All are HMAC-SHA256 except the last, which authenticates the sender but not the body.

mod github;
mod secret;
mod standard;
mod stripe;
mod token;

use http::{HeaderMap, HeaderName};

pub use secret::{InvalidSecret, SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRETS_MAX, Secrets};

/// Default tolerance between the time of a signature and ours, in seconds.
pub const WINDOW_S_DEFAULT: u32 = 300;
/// Longest id of a delivery, in bytes.
pub const ID_BYTES_MAX: usize = 256;
/// Signatures of one request that are checked.
const SIGNATURES_MAX: usize = 16;

/// A sender's authentication scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Standard Webhooks.
    Standard,
    /// `X-Hub-Signature-256`. It has no time, so a replay is detected only by the delivery's id.
    Github,
    /// `t=…,v1=…`.
    Stripe,
    /// A token.
    Bearer,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Github, Self::Stripe, Self::Bearer];

    /// Its name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Github => "github",
            Self::Stripe => "stripe",
            Self::Bearer => "bearer",
        }
    }

    /// The scheme of a name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.as_str() == text)
    }
}

/// A request of an authenticated sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The delivery's id, the same in each retry, where the scheme has one.
    pub id: Option<String>,
}

/// Why a request is refused; each is answered with 401.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A header is missing.
    #[error("the request has no header {0}")]
    Missing(HeaderName),
    /// A header is repeated, or cannot be parsed.
    #[error("the header {0} cannot be read: {1}")]
    Malformed(HeaderName, &'static str),
    /// The time of the signature differs too much from ours.
    #[error("the request was signed at Unix time {signed_s} and the clock here says {now_s}; {window_s} s are allowed")]
    Expired {
        /// The time of the signature.
        signed_s: i64,
        /// Our time.
        now_s: i64,
        /// Largest allowed difference.
        window_s: u32,
    },
    /// No signature matches.
    #[error("no signature of the request fits its bytes and a secret of the trigger")]
    Mismatch,
}

/// Verifies a request: `body` is unchanged from what was received; `now_s` is Unix time.
///
/// # Errors
/// See [`Rejection`].
pub fn verify(
    secrets: &Secrets,
    headers: &HeaderMap,
    body: &[u8],
    now_s: i64,
    window_s: u32,
) -> Result<Verified, Rejection> {
    match secrets.scheme() {
        Scheme::Standard => standard::verify(secrets, headers, body, Clock { now_s, window_s }),
        Scheme::Github => github::verify(secrets, headers, body),
        Scheme::Stripe => stripe::verify(secrets, headers, body, Clock { now_s, window_s }),
        Scheme::Bearer => token::verify(secrets, headers),
    }
}

#[derive(Debug, Clone, Copy)]
struct Clock {
    now_s: i64,
    window_s: u32,
}

impl Clock {
    fn check(self, signed_s: i64) -> Result<(), Rejection> {
        let Self { now_s, window_s } = self;
        match signed_s.abs_diff(now_s) <= u64::from(window_s) {
            true => Ok(()),
            false => Err(Rejection::Expired { signed_s, now_s, window_s }),
        }
    }
}

/// Unix seconds in digits only: this text is signed, so no other spelling of it counts.
fn seconds(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// The only value of a header.
fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h str, Rejection> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| Rejection::Missing(name.clone()))?;
    if values.next().is_some() {
        return Err(Rejection::Malformed(name.clone(), "there are several"));
    }
    value.to_str().map_err(|_| Rejection::Malformed(name.clone(), "it is not plain text"))
}

#[cfg(test)]
mod tests;
