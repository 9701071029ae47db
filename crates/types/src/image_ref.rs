//! Image references: `{domain}/{repository}[:{tag}][@{digest}]`, parsed as docker does
//! (distribution's `reference` grammar; Docker Hub's short names).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// Longest accepted reference, in bytes.
pub const REFERENCE_LEN_MAX: usize = 1024;
/// Longest host name of a registry, in bytes (RFC 1035, section 2.3.4). It ensures that every
/// parsed reference prints within [`REFERENCE_LEN_MAX`].
const HOST_LEN_MAX: usize = 253;
/// Longest repository path, in bytes (distribution specification).
pub const REPOSITORY_LEN_MAX: usize = 255;
/// Longest tag, in bytes (distribution specification).
pub const TAG_LEN_MAX: usize = 128;

/// A parsed image reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    /// Host and optional port of the registry; `docker.io` by default.
    pub registry: String,
    /// Repository path, such as `library/debian`.
    pub repository: String,
    /// Tag; `None` only with a digest.
    pub tag: Option<String>,
    /// Digest; overrides the tag.
    pub digest: Option<Digest>,
}

/// Why a text is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("image reference {text:?} is not valid: {reason}")]
pub struct InvalidImageRef {
    /// The refused text.
    pub text: String,
    /// The violated rule, and the remedy.
    pub reason: &'static str,
}

impl ImageRef {
    /// The reference to request from a registry: the digest, else the tag.
    pub fn reference(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    /// The same image pinned to `digest`.
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

fn is_repository_component(part: &str) -> bool {
    let bytes = part.as_bytes();
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return false;
    }
    // Separators: one '.', one or two '_', any number of '-'.
    let separators = bytes.split(|b| alphanumeric(*b)).filter(|s| !s.is_empty());
    separators.into_iter().all(|s| matches!(s, b"." | b"_" | b"__") || s.iter().all(|b| *b == b'-'))
}

fn is_registry(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((v6, "")) => (v6, None),
            Some((v6, port)) => (v6, port.strip_prefix(':').or(Some("x"))),
            None => return false,
        },
        None => match host.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let port_ok = port.is_none_or(|p| p.parse::<u16>().is_ok() && !p.starts_with('+'));
    let name_ok = if host.starts_with('[') {
        name.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        !name.is_empty()
            && name.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
    };
    port_ok && name_ok && name.len() <= HOST_LEN_MAX
}

/// Whether a text is a tag: 1 to 128 of `[A-Za-z0-9_.-]`, not beginning with `.` or `-`.
pub fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag.len() <= TAG_LEN_MAX
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Whether a text is a repository path: lower-case components joined by `/`.
pub fn is_repository(path: &str) -> bool {
    path.len() <= REPOSITORY_LEN_MAX && path.split('/').all(is_repository_component)
}

impl FromStr for ImageRef {
    type Err = InvalidImageRef;

    fn from_str(text: &str) -> Result<Self, InvalidImageRef> {
        let invalid = |reason| InvalidImageRef { text: text.chars().take(REFERENCE_LEN_MAX).collect(), reason };
        if text.len() > REFERENCE_LEN_MAX {
            return Err(invalid("it is longer than 1024 bytes"));
        }
        if text.contains("://") {
            return Err(invalid("leave out the scheme; write host/repository:tag"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(digest.parse::<Digest>().map_err(|_| invalid("the digest is not sha256: and 64 hex digits"))?),
            ),
            None => (text, None),
        };
        // The first part is a host if it cannot be a repository component: it has a dot or a port,
        // or is localhost.
        let (registry, path) = match rest.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => ("docker.io", rest),
        };
        if !is_registry(registry) {
            return Err(invalid("the registry is not a host with an optional port"));
        }
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (path, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid("a tag is 1 to 128 letters, digits, '_', '.' and '-', not beginning with '.' or '-'"));
        }
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        let repository = if registry == "docker.io" && !path.contains('/') && !path.is_empty() {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if !is_repository(&repository) {
            return Err(invalid(
                "a repository is lower-case letters, digits and single separators '.', '_', '-' between '/'",
            ));
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for ImageRef {
    type Error = InvalidImageRef;
    fn try_from(text: String) -> Result<Self, InvalidImageRef> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> String {
        image.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<ImageRef>().map_or_else(|e| format!("! {}", e.reason), |r| r.to_string())
    }

    #[test]
    fn short_names_are_read_as_docker_reads_them() {
        assert_eq!(parsed("debian"), "docker.io/library/debian:latest");
        assert_eq!(parsed("debian:12"), "docker.io/library/debian:12");
        assert_eq!(parsed("me/app"), "docker.io/me/app:latest");
        assert_eq!(parsed("localhost/app"), "localhost/app:latest");
        assert_eq!(parsed("localhost:5000/ns/app:v1"), "localhost:5000/ns/app:v1");
        assert_eq!(parsed("[::1]:5000/app"), "[::1]:5000/app:latest");
        assert_eq!(parsed("index.docker.io/debian"), "docker.io/library/debian:latest");
    }

    #[test]
    fn a_digest_stands_beside_or_instead_of_a_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(parsed(&format!("r.io/a@{digest}")), format!("r.io/a@{digest}"));
        assert_eq!(parsed(&format!("r.io/a:t@{digest}")), format!("r.io/a:t@{digest}"));
        assert_eq!(format!("r.io/a:t@{digest}").parse::<ImageRef>().expect("valid").reference(), digest);
    }

    #[test]
    fn wrong_references_are_refused_with_the_rule() {
        for bad in [
            "",
            "UPPER/x",
            "r.io/",
            "r.io/a:",
            "r.io/a:.t",
            "r.io/a@sha256:12",
            "http://r.io/a",
            "r.io:99999/a",
            "r.io/a//b",
            "a b",
        ] {
            assert!(parsed(bad).starts_with('!'), "{bad} -> {}", parsed(bad));
        }
    }

    #[test]
    fn a_host_has_the_length_of_a_domain_name_at_most() {
        let host = |bytes: usize| format!("{}.io:5000", "h".repeat(bytes - 3));
        assert_eq!(parsed(&format!("{}/a", host(253))), format!("{}/a:latest", host(253)));
        assert!(parsed(&format!("{}/a", host(254))).starts_with("! the registry is not a host"));
    }

    proptest! {
        #[test]
        fn what_parses_prints_to_what_parses_the_same(text in "[a-z0-9.:/@_-]{0,80}") {
            if let Ok(image) = text.parse::<ImageRef>() {
                prop_assert_eq!(image.to_string().parse::<ImageRef>(), Ok(image));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = text.parse::<ImageRef>();
        }
    }
}
