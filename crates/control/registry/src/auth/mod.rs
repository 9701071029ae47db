//! Authentication and authorization: the key pair, tokens signed with it, and anonymous pulls if
//! configured.

mod challenge;
mod endpoint;
mod jwt;
mod scope;
mod tokens;

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::Config;
use crate::error::Error;
use crate::problem::{Code, Problem};

use challenge::Reason;
pub(crate) use endpoint::token;
pub use scope::{Actions, Kind, Scope};
use tokens::Tokens;

/// The key pair for logins: user name is the secret id, password the secret key.
#[derive(Clone)]
pub struct Credentials {
    /// User name.
    pub secret_id: String,
    /// Password.
    pub secret_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("secret_id", &self.secret_id).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Compares in constant time: hashes first, which hides the lengths.
    fn matches(&self, user: &str, password: &str) -> bool {
        let equal = |a: &str, b: &str| Sha256::digest(a.as_bytes()).ct_eq(&Sha256::digest(b.as_bytes()));
        (equal(&self.secret_id, user) & equal(&self.secret_key, password)).into()
    }
}

/// Permissions of a request's sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Logged in with the key pair: everything.
    All,
    /// With a token: its scopes.
    Scopes(Vec<Scope>),
    /// Without credentials: pulls.
    AnonymousPull,
}

impl Grant {
    /// Whether the grant covers `wanted`.
    pub(crate) fn allows(&self, wanted: &Scope) -> bool {
        match self {
            Self::All => true,
            Self::Scopes(scopes) => scopes.iter().any(|scope| scope.covers(wanted)),
            Self::AnonymousPull => wanted.kind == Kind::Repository && Actions::PULL.include(wanted.actions),
        }
    }
}

/// Credentials in a request.
enum Presented {
    Nothing,
    Pair(String, String),
    Token(String),
    /// An `Authorization` header that cannot be parsed.
    Unreadable,
}

/// Authenticates requests and issues tokens.
pub(crate) struct Auth {
    credentials: Credentials,
    tokens: Tokens,
    anonymous_pull: bool,
}

impl Auth {
    pub(crate) fn open(dir: &Path, credentials: Credentials, config: &Config) -> Result<Self, Error> {
        let tokens = Tokens::open(dir, &credentials, config.token_ttl_s)?;
        Ok(Self { credentials, tokens, anonymous_pull: config.anonymous_pull })
    }

    /// A token for the platform itself.
    pub(crate) fn mint(&self, scopes: Vec<Scope>) -> String {
        self.tokens.mint("sampan", scopes, jiff::Timestamp::now()).token
    }

    /// The grant of a request's sender if it covers `needed`; otherwise a challenge.
    pub(crate) fn authorize(&self, parts: &Parts, needed: &Scope) -> Result<Grant, Problem> {
        let challenge = |reason| challenge::bearer(&parts.headers, &parts.uri, Some(needed), reason);
        let grant = match self.grant(parts) {
            Ok(Some(grant)) => grant,
            // Anonymous pulls come without a token (curl) or with one issued without a password.
            Ok(None) if self.anonymous_pull => Grant::AnonymousPull,
            Ok(None) => return Err(not_logged_in(challenge(Reason::Missing))),
            Err(refusal) => return Err(refusal.into_problem(challenge(Reason::InvalidToken))),
        };
        if grant.allows(needed) {
            return Ok(grant);
        }
        let reason = if grant == Grant::AnonymousPull { Reason::Missing } else { Reason::InsufficientScope };
        Err(Problem::new(Code::Unauthorized, format!("this needs a login or token for {needed}"))
            .with_header(WWW_AUTHENTICATE, challenge(reason)))
    }

    /// Accepts any login. Anonymous senders are challenged even where they may pull: clients decide
    /// here whether they log in.
    pub(crate) fn authenticate(&self, parts: &Parts) -> Result<(), Problem> {
        let challenge = |reason| challenge::bearer(&parts.headers, &parts.uri, None, reason);
        match self.grant(parts) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(not_logged_in(challenge(Reason::Missing))),
            Err(refusal) => Err(refusal.into_problem(challenge(Reason::InvalidToken))),
        }
    }

    fn grant(&self, parts: &Parts) -> Result<Option<Grant>, Refusal> {
        match presented(parts) {
            Presented::Nothing => Ok(None),
            Presented::Pair(user, password) if self.credentials.matches(&user, &password) => Ok(Some(Grant::All)),
            Presented::Pair(..) => Err(Refusal::WrongPair),
            Presented::Token(token) => {
                self.tokens.read(&token).map(|s| Some(Grant::Scopes(s))).ok_or(Refusal::BadToken)
            }
            Presented::Unreadable => Err(Refusal::Unreadable),
        }
    }
}

/// Why credentials are not accepted.
enum Refusal {
    WrongPair,
    BadToken,
    Unreadable,
}

impl Refusal {
    fn message(&self) -> &'static str {
        match self {
            Self::WrongPair => {
                "the user name or the password is wrong; the user name is the secret id and the password the secret key \
                 of credentials.toml in Sampan's data directory"
            }
            Self::BadToken => "the token is invalid or expired; request a new one",
            Self::Unreadable => "the Authorization header cannot be read; use Basic or Bearer",
        }
    }

    fn into_problem(self, challenge: String) -> Problem {
        Problem::new(Code::Unauthorized, self.message()).with_header(WWW_AUTHENTICATE, challenge)
    }
}

fn not_logged_in(challenge: String) -> Problem {
    let message = "not logged in; use `docker login` with the secret id as user name and the secret key as password";
    Problem::new(Code::Unauthorized, message).with_header(WWW_AUTHENTICATE, challenge)
}

fn presented(parts: &Parts) -> Presented {
    let Some(header) = parts.headers.get(AUTHORIZATION) else { return Presented::Nothing };
    let Some((scheme, rest)) = header.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Presented::Unreadable;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Presented::Token(rest.to_owned());
    }
    let decode = || String::from_utf8(BASE64.decode(rest).ok()?).ok();
    let pair = scheme.eq_ignore_ascii_case("basic").then(decode).flatten();
    match pair.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((user, password)) => Presented::Pair(user.to_owned(), password.to_owned()),
        None => Presented::Unreadable,
    }
}
