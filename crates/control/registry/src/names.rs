//! Paths of the distribution specification: repository, and resource in it. Pure.
//!
//! A repository's name contains slashes, and its components may equal the path's keywords (`blobs`,
//! `tags`), so a path is parsed from its right end, where keywords are at fixed positions.

use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use types::Digest;
use types::image_ref::{is_repository, is_tag};

/// Longest id of an upload session, in bytes.
const UPLOAD_ID_LEN_MAX: usize = 64;

/// A repository's name by the specification's grammar; safe as a relative path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Repository(Arc<str>);

impl Repository {
    /// `None` when the text violates the grammar.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        is_repository(text).then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The reference behind `manifests/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    Tag(String),
    Digest(Digest),
    /// Neither tag nor digest: lookups fail, pushes are refused.
    Invalid(String),
}

impl Reference {
    fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(digest) => Self::Digest(digest),
            Err(_) if is_tag(text) => Self::Tag(text.to_owned()),
            Err(_) => Self::Invalid(text.to_owned()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(text) | Self::Invalid(text) => f.write_str(text),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// The resource of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Catalog,
    Tags(Repository),
    Manifest(Repository, Reference),
    Blob(Repository, Digest),
    Uploads(Repository),
    Upload(Repository, String),
    Referrers(Repository, Digest),
}

/// Why a path has no resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathError {
    /// Not a path of the specification.
    NoSuchPath,
    /// The repository's name violates the grammar.
    Repository(String),
    /// Malformed, or of an unsupported algorithm.
    Digest(String),
}

/// Parses a request's path below `/v2/`, percent-encoded.
pub(crate) fn parse(path: &str) -> Result<Target, PathError> {
    let path = path.strip_prefix("/v2/").ok_or(PathError::NoSuchPath)?;
    let path = percent_decode_str(path).decode_utf8().map_err(|_| PathError::NoSuchPath)?;
    if path == "_catalog" {
        return Ok(Target::Catalog);
    }
    if let Some(name) = path.strip_suffix("/blobs/uploads/").or_else(|| path.strip_suffix("/blobs/uploads")) {
        return Ok(Target::Uploads(repository(name)?));
    }
    if let Some(name) = path.strip_suffix("/tags/list") {
        return Ok(Target::Tags(repository(name)?));
    }
    let (rest, last) = path.rsplit_once('/').ok_or(PathError::NoSuchPath)?;
    if let Some(name) = rest.strip_suffix("/blobs/uploads") {
        return Ok(Target::Upload(repository(name)?, upload_id(last)?));
    }
    let (name, word) = rest.rsplit_once('/').ok_or(PathError::NoSuchPath)?;
    match word {
        "manifests" => Ok(Target::Manifest(repository(name)?, Reference::parse(last))),
        "blobs" => Ok(Target::Blob(repository(name)?, digest(last)?)),
        "referrers" => Ok(Target::Referrers(repository(name)?, digest(last)?)),
        _ => Err(PathError::NoSuchPath),
    }
}

fn repository(text: &str) -> Result<Repository, PathError> {
    Repository::parse(text).ok_or_else(|| PathError::Repository(text.to_owned()))
}

fn digest(text: &str) -> Result<Digest, PathError> {
    text.parse().map_err(|_| PathError::Digest(text.to_owned()))
}

fn upload_id(text: &str) -> Result<String, PathError> {
    let valid = (1..=UPLOAD_ID_LEN_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if valid { Ok(text.to_owned()) } else { Err(PathError::NoSuchPath) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Repository {
        Repository::parse(text).expect("a valid repository")
    }

    fn some_digest() -> Digest {
        Digest::from_sha256(&[0xab; 32])
    }

    #[test]
    fn each_path_of_the_specification_is_parsed() {
        let digest = some_digest();
        let tag = |t: &str| Reference::Tag(t.into());
        for (path, target) in [
            ("/v2/_catalog".to_owned(), Target::Catalog),
            ("/v2/a/tags/list".into(), Target::Tags(name("a"))),
            ("/v2/a/b/manifests/v1".into(), Target::Manifest(name("a/b"), tag("v1"))),
            (format!("/v2/a/manifests/{digest}"), Target::Manifest(name("a"), Reference::Digest(digest.clone()))),
            (format!("/v2/a/blobs/{digest}"), Target::Blob(name("a"), digest.clone())),
            (format!("/v2/a/blobs/sha256%3A{}", digest.hex()), Target::Blob(name("a"), digest.clone())),
            ("/v2/a/blobs/uploads/".into(), Target::Uploads(name("a"))),
            ("/v2/a/blobs/uploads".into(), Target::Uploads(name("a"))),
            ("/v2/a/b/blobs/uploads/1f-2".into(), Target::Upload(name("a/b"), "1f-2".into())),
            (format!("/v2/a/referrers/{digest}"), Target::Referrers(name("a"), digest.clone())),
        ] {
            assert_eq!(parse(&path), Ok(target), "{path}");
        }
    }

    #[test]
    fn keywords_of_paths_are_allowed_in_repository_names() {
        for (path, target) in [
            ("/v2/blobs/uploads/tags/list", Target::Tags(name("blobs/uploads"))),
            (
                "/v2/manifests/manifests/manifests",
                Target::Manifest(name("manifests"), Reference::Tag("manifests".into())),
            ),
            ("/v2/a/tags/manifests/list", Target::Manifest(name("a/tags"), Reference::Tag("list".into()))),
            ("/v2/a/manifests/blobs/uploads/", Target::Uploads(name("a/manifests"))),
        ] {
            assert_eq!(parse(path), Ok(target), "{path}");
        }
    }

    #[test]
    fn errors_name_the_invalid_part_of_a_path() {
        let digest = some_digest();
        for (path, error) in [
            ("/v2/".to_owned(), PathError::NoSuchPath),
            ("/v2/a".into(), PathError::NoSuchPath),
            ("/v2/a/other/b".into(), PathError::NoSuchPath),
            ("/v2/a/blobs/uploads/../x".into(), PathError::NoSuchPath),
            ("/v2/a/blobs/uploads/%2e%2e".into(), PathError::NoSuchPath),
            ("/v2/A/tags/list".into(), PathError::Repository("A".into())),
            ("/v2/../etc/manifests/x".into(), PathError::Repository("../etc".into())),
            (format!("/v2/%2e%2e/blobs/{digest}"), PathError::Repository("..".into())),
            ("/v2/a/blobs/sha512:00".into(), PathError::Digest("sha512:00".into())),
        ] {
            assert_eq!(parse(&path), Err(error), "{path}");
        }
        let invalid = Target::Manifest(name("a"), Reference::Invalid(".x".into()));
        assert_eq!(parse("/v2/a/manifests/.x"), Ok(invalid));
    }

    fn repositories() -> impl Strategy<Value = String> {
        let word =
            prop_oneof!["blobs", "uploads", "manifests", "tags", "list", "referrers", "[a-z0-9]{1,5}(-[a-z]{1,3})?"];
        prop::collection::vec(word, 1..6).prop_map(|words| words.join("/"))
    }

    proptest! {
        #[test]
        fn every_repository_is_parsed_from_every_path(repository in repositories(), tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}") {
            let digest = some_digest();
            let repo = name(&repository);
            prop_assert_eq!(
                parse(&format!("/v2/{repository}/manifests/{tag}")),
                Ok(Target::Manifest(repo.clone(), Reference::Tag(tag)))
            );
            prop_assert_eq!(parse(&format!("/v2/{repository}/blobs/{digest}")), Ok(Target::Blob(repo.clone(), digest.clone())));
            prop_assert_eq!(parse(&format!("/v2/{repository}/blobs/uploads/")), Ok(Target::Uploads(repo.clone())));
            prop_assert_eq!(
                parse(&format!("/v2/{repository}/blobs/uploads/1-2")),
                Ok(Target::Upload(repo.clone(), "1-2".into()))
            );
            prop_assert_eq!(parse(&format!("/v2/{repository}/referrers/{digest}")), Ok(Target::Referrers(repo.clone(), digest)));
            prop_assert_eq!(parse(&format!("/v2/{repository}/tags/list")), Ok(Target::Tags(repo)));
        }

        #[test]
        fn no_path_panics_or_names_a_repository_outside(path in "(/v2/)?[a-zA-Z0-9/.%:_-]{0,80}") {
            if let Ok(Target::Tags(r) | Target::Manifest(r, _) | Target::Uploads(r) | Target::Upload(r, _)) = parse(&path) {
                prop_assert!(r.as_str().split('/').all(|part| part != ".." && !part.starts_with(['.', '_']) && !part.is_empty()));
            }
        }
    }
}
