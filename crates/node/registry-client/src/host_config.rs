//! The configuration of a registry's host: its mirrors, its certificate authorities, and whether it
//! uses TLS.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use types::image_ref::is_repository;

/// How to connect to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostConfig {
    /// Mirrors that are tried before the registry itself, in this order.
    pub mirrors: Vec<Mirror>,
    /// Certificate authorities (PEM) that are trusted for it, beside the system's.
    pub ca_pem: Option<Arc<str>>,
    /// Whether to use plain HTTP; `None` for the default: on a loopback address without an
    /// authority of its own.
    pub plain_http: Option<bool>,
}

/// A server with the content of a registry: `https://host[:port][/prefix]`, whose prefix precedes
/// the repository, as in `https://harbor.example.com/dockerhub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Whether to use plain HTTP.
    pub plain_http: bool,
    /// `host[:port]`.
    pub host: String,
    /// Without slashes at its ends; may be empty.
    pub prefix: String,
}

/// An error of parsing a mirror.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mirror {text:?} is not http://HOST[:PORT][/PREFIX] or https://HOST[:PORT][/PREFIX]")]
pub struct InvalidMirror {
    /// The rejected text.
    pub text: String,
}

impl Mirror {
    /// The name of `repository` on the mirror.
    pub fn repository(&self, repository: &str) -> String {
        if self.prefix.is_empty() { repository.to_owned() } else { format!("{}/{repository}", self.prefix) }
    }
}

impl FromStr for Mirror {
    type Err = InvalidMirror;

    fn from_str(text: &str) -> Result<Self, InvalidMirror> {
        let invalid = || InvalidMirror { text: text.to_owned() };
        let (plain_http, rest) = match text.split_once("://") {
            Some(("https", rest)) => (false, rest),
            Some(("http", rest)) => (true, rest),
            _ => return Err(invalid()),
        };
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        // A user and a password in it would appear in messages that name the mirror.
        let host_ok = !host.is_empty() && !host.contains(['@', '?', '#', ' ', '\\']);
        if !host_ok || !(prefix.is_empty() || is_repository(prefix)) {
            return Err(invalid());
        }
        Ok(Self { plain_http, host: host.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.plain_http { "http" } else { "https" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_a_url_with_an_optional_prefix() {
        for (text, repository) in [
            ("https://mirror.io", "library/debian"),
            ("http://10.0.0.1:5000", "library/debian"),
            ("https://harbor.io/hub", "hub/library/debian"),
            ("https://harbor.io/hub/proxy", "hub/proxy/library/debian"),
        ] {
            let mirror: Mirror = text.parse().expect("valid");
            assert_eq!(mirror.to_string(), text);
            assert_eq!(mirror.repository("library/debian"), repository);
        }
        assert_eq!("https://m.io/".parse::<Mirror>().expect("valid").to_string(), "https://m.io");
        for bad in ["mirror.io", "ftp://m.io", "https://", "https://u:p@m.io", "https://m.io/UPPER", "https://m.io?x=1"]
        {
            assert!(bad.parse::<Mirror>().is_err(), "{bad}");
        }
    }
}
