//! Files of repositories: reads and writes of one file each. Blocks.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::SystemTime;

use types::Digest;

use super::files;
use super::layout::{BLOBS, Layout, MANIFESTS, REFERRERS, TAGS, WORDS, digest_of_name};
use super::record::Record;
use crate::error::Error;
use crate::names::Repository;

/// The metadata below one directory.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    layout: Layout,
}

impl Metadata {
    /// Creates missing directories, and removes drafts.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let layout = Layout::new(dir);
        files::make_dir(&layout.repositories)?;
        files::make_dir(&layout.tmp)?;
        files::empty(&layout.tmp)?;
        Ok(Self { layout })
    }

    /// All repositories, unsorted.
    pub(super) fn repositories(&self) -> Result<Vec<Repository>, Error> {
        let names = files::walk(&self.layout.repositories, &WORDS)?;
        Ok(names.iter().filter_map(|name| Repository::parse(name)).collect())
    }

    /// Whether the repository has any content.
    pub(super) fn has_repository(&self, repository: &Repository) -> Result<bool, Error> {
        Ok(files::exists(&self.layout.dir(repository, BLOBS))?
            || files::exists(&self.layout.dir(repository, MANIFESTS))?)
    }

    pub(super) fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        files::exists(&self.layout.blob(repository, digest))
    }

    /// Records a request for a blob in its file's time; false when the blob is absent.
    pub(super) fn touch_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        files::touch(&self.layout.blob(repository, digest))
    }

    pub(super) fn add_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), Error> {
        files::write(&self.layout.tmp, &self.layout.blob(repository, digest), b"")
    }

    /// False when it was absent.
    pub(super) fn remove_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        files::remove(&self.layout.blob(repository, digest))
    }

    pub(super) fn blobs(&self, repository: &Repository) -> Result<Vec<Digest>, Error> {
        self.digests(&self.layout.dir(repository, BLOBS))
    }

    /// Blobs that were last pushed or requested before `before`.
    pub(super) fn blobs_before(&self, repository: &Repository, before: SystemTime) -> Result<Vec<Digest>, Error> {
        let mut old = Vec::new();
        for digest in self.blobs(repository)? {
            if files::modified(&self.layout.blob(repository, &digest))?.is_some_and(|time| time < before) {
                old.push(digest);
            }
        }
        Ok(old)
    }

    pub(super) fn record(&self, repository: &Repository, digest: &Digest) -> Result<Option<Record>, Error> {
        let path = self.layout.manifest(repository, digest);
        let Some(bytes) = files::read(&path)? else { return Ok(None) };
        match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(Some(record)),
            Err(error) => Err(Error::DamagedRecord { path, reason: error.to_string() }),
        }
    }

    pub(super) fn manifests(&self, repository: &Repository) -> Result<Vec<Digest>, Error> {
        self.digests(&self.layout.dir(repository, MANIFESTS))
    }

    /// Maps each blob to a manifest that names it, without the manifests that are `gone`.
    pub(super) fn named_blobs(
        &self,
        repository: &Repository,
        gone: &HashSet<Digest>,
    ) -> Result<HashMap<Digest, Digest>, Error> {
        let mut named = HashMap::new();
        for manifest in self.manifests(repository)?.into_iter().filter(|manifest| !gone.contains(manifest)) {
            let Some(record) = self.record(repository, &manifest)? else { continue };
            named.extend(record.blobs.into_iter().map(|blob| (blob, manifest.clone())));
        }
        Ok(named)
    }

    pub(super) fn add_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        record: &Record,
        tag: Option<&str>,
    ) -> Result<(), Error> {
        let tmp = &self.layout.tmp;
        let bytes = serde_json::to_vec(record).expect("texts, numbers and maps of texts are always JSON");
        files::write(tmp, &self.layout.manifest(repository, digest), &bytes)?;
        if let Some(referrer) = &record.referrer {
            files::write(tmp, &self.layout.referrer(repository, &referrer.subject, digest), b"")?;
        }
        let Some(tag) = tag else { return Ok(()) };
        let before = self.tag(repository, tag).ok().flatten();
        // The tag is written last: a visible tag implies everything behind it.
        files::write(tmp, &self.layout.tag(repository, tag), format!("{digest}\n").as_bytes())?;
        self.lost_tag(repository, before.filter(|before| before != digest))
    }

    /// Updates the time of a manifest that lost a tag; otherwise it is the time of its push.
    fn lost_tag(&self, repository: &Repository, digest: Option<Digest>) -> Result<(), Error> {
        digest.map_or(Ok(()), |digest| files::touch(&self.layout.manifest(repository, &digest)).map(drop))
    }

    /// Time of a manifest's last push or lost tag; `None` when it is absent.
    pub(super) fn manifest_modified(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<SystemTime>, Error> {
        files::modified(&self.layout.manifest(repository, digest))
    }

    /// Removes a manifest with its tags; false when it was absent.
    pub(super) fn remove_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        let Some(record) = self.record(repository, digest)? else { return Ok(false) };
        for tag in files::names(&self.layout.dir(repository, TAGS))? {
            if self.tag(repository, &tag)?.as_ref() == Some(digest) {
                files::remove(&self.layout.tag(repository, &tag))?;
            }
        }
        if let Some(referrer) = &record.referrer {
            files::remove(&self.layout.referrer(repository, &referrer.subject, digest))?;
        }
        files::remove(&self.layout.manifest(repository, digest))
    }

    /// The digest that a tag points to.
    pub(super) fn tag(&self, repository: &Repository, tag: &str) -> Result<Option<Digest>, Error> {
        let path = self.layout.tag(repository, tag);
        let Some(bytes) = files::read(&path)? else { return Ok(None) };
        match std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok()) {
            Some(digest) => Ok(Some(digest)),
            None => Err(Error::DamagedRecord { path, reason: "it holds no digest".to_owned() }),
        }
    }

    /// False when it was absent.
    pub(super) fn remove_tag(&self, repository: &Repository, tag: &str) -> Result<bool, Error> {
        let before = self.tag(repository, tag).ok().flatten();
        let removed = files::remove(&self.layout.tag(repository, tag))?;
        self.lost_tag(repository, before)?;
        Ok(removed)
    }

    pub(super) fn tags(&self, repository: &Repository) -> Result<Vec<String>, Error> {
        files::names(&self.layout.dir(repository, TAGS))
    }

    /// Manifests with `subject` as their subject.
    pub(super) fn referrers(&self, repository: &Repository, subject: &Digest) -> Result<Vec<Digest>, Error> {
        self.digests(&self.layout.referrers(repository, subject))
    }

    /// Removes empty directories of a repository.
    pub(super) fn prune(&self, repository: &Repository) -> Result<(), Error> {
        let referrers = self.layout.dir(repository, REFERRERS);
        for subject in files::names(&referrers)? {
            files::prune(&referrers.join(subject), &self.layout.repositories);
        }
        for word in WORDS {
            files::prune(&self.layout.dir(repository, word), &self.layout.repositories);
        }
        Ok(())
    }

    fn digests(&self, dir: &Path) -> Result<Vec<Digest>, Error> {
        Ok(files::names(dir)?.iter().filter_map(|name| digest_of_name(name)).collect())
    }
}
