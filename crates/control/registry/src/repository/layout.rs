//! Paths of the registry's metadata (drawn in the crate's documentation), and owners of its pins.
//! Pure.

use std::path::{Path, PathBuf};

use types::Digest;

use crate::names::Repository;

/// Prefix of the owners of manifests' pins; those of blobs have `-blob` in it.
pub(super) const MANIFEST_OWNERS: &str = "registry/";
pub(super) const BLOB_OWNERS: &str = "registry-blob/";

pub(super) const BLOBS: &str = "_blobs";
pub(super) const MANIFESTS: &str = "_manifests";
pub(super) const TAGS: &str = "_tags";
pub(super) const REFERRERS: &str = "_referrers";
/// Reserved directory names beside nested repositories.
pub(super) const WORDS: [&str; 4] = [BLOBS, MANIFESTS, TAGS, REFERRERS];

/// Paths below the registry's directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) tmp: PathBuf,
    pub(super) repositories: PathBuf,
}

impl Layout {
    pub(super) fn new(dir: &Path) -> Self {
        Self { tmp: dir.join("tmp"), repositories: dir.join("repositories") }
    }

    /// One of the four directories of a repository.
    pub(super) fn dir(&self, repository: &Repository, word: &str) -> PathBuf {
        self.repositories.join(repository.as_str()).join(word)
    }

    pub(super) fn blob(&self, repository: &Repository, digest: &Digest) -> PathBuf {
        self.dir(repository, BLOBS).join(digest.hex())
    }

    pub(super) fn manifest(&self, repository: &Repository, digest: &Digest) -> PathBuf {
        self.dir(repository, MANIFESTS).join(digest.hex())
    }

    pub(super) fn tag(&self, repository: &Repository, tag: &str) -> PathBuf {
        self.dir(repository, TAGS).join(tag)
    }

    pub(super) fn referrers(&self, repository: &Repository, subject: &Digest) -> PathBuf {
        self.dir(repository, REFERRERS).join(subject.hex())
    }

    pub(super) fn referrer(&self, repository: &Repository, subject: &Digest, digest: &Digest) -> PathBuf {
        self.referrers(repository, subject).join(digest.hex())
    }
}

/// The digest in a file's name; `None` for other names.
pub(super) fn digest_of_name(name: &str) -> Option<Digest> {
    format!("sha256:{name}").parse().ok()
}

pub(super) fn blob_owner(repository: &Repository, digest: &Digest) -> String {
    format!("{BLOB_OWNERS}{repository}@{digest}")
}

pub(super) fn manifest_owner(repository: &Repository, digest: &Digest) -> String {
    format!("{MANIFEST_OWNERS}{repository}@{digest}")
}
