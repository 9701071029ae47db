//! Repositories: the metadata that maps content to names (drawn in the crate's documentation), and
//! the pins of that content.
//!
//! Additions run concurrently; a removal runs exclusively, so that it cannot remove what an
//! addition just found. Each change runs in its own task: a client that disconnects cannot leave it
//! half done.

mod addition;
pub(crate) mod files;
mod layout;
mod metadata;
mod record;
pub(crate) mod stored;
mod sweep;

use std::collections::HashSet;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use content_store::{ContentStore, Lease};
use tokio::sync::RwLock;
use types::Digest;

use crate::error::Error;
use crate::names::{Reference, Repository};
use crate::push_event::{PushEvent, PushListener};
pub(crate) use addition::{Addition, NewManifest};
use layout::{blob_owner, manifest_owner};
use metadata::Metadata;
pub(crate) use record::{Record, Referrer};

/// Outcome of removing a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BlobRemoval {
    Removed,
    /// The repository has no such blob.
    Absent,
    /// A manifest of the repository names it: not removed.
    Named(Digest),
}

/// All repositories; cheap to clone.
#[derive(Clone)]
pub(crate) struct Repositories {
    content: ContentStore,
    metadata: Metadata,
    /// Additions lock it shared, removals exclusively.
    changes: Arc<RwLock<()>>,
    push_events: PushListener,
}

impl Repositories {
    /// Opens the metadata below `dir` and reconciles pins with files.
    pub(crate) async fn open(dir: &Path, content: ContentStore, push_events: PushListener) -> Result<Self, Error> {
        let dir = dir.to_owned();
        let metadata = blocking("open the metadata", move || Metadata::open(&dir)).await?;
        let repositories = Self { content, metadata, changes: Arc::default(), push_events };
        repositories.reconcile().await?;
        Ok(repositories)
    }

    /// Whether a repository has a blob. `keep` protects it from the sweep, because a manifest may
    /// soon name it.
    pub(crate) async fn has_blob(&self, repository: &Repository, digest: &Digest, keep: bool) -> Result<bool, Error> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.on_disk("look for a blob", move |metadata| {
            if keep { metadata.touch_blob(&repository, &digest) } else { metadata.has_blob(&repository, &digest) }
        })
        .await
    }

    /// Makes content visible as a blob of a repository. `lease` has protected it from collection
    /// since it was written.
    pub(crate) async fn add_blob(&self, repository: &Repository, digest: &Digest, lease: Lease) -> Result<(), Error> {
        let (repository, digest, this) = (repository.clone(), digest.clone(), self.clone());
        let shared = self.changes.clone().read_owned().await;
        change("add a blob", async move {
            let _held = (shared, lease);
            this.pin(blob_owner(&repository, &digest), &digest).await?;
            let added = digest.clone();
            this.on_disk("add a blob", move |metadata| metadata.add_blob(&repository, &added)).await?;
            (this.push_events)(PushEvent::Blob { digest: &digest });
            Ok(())
        })
        .await
    }

    /// Makes a blob of one repository visible in another; false when the first lacks it.
    pub(crate) async fn mount_blob(&self, from: &Repository, to: &Repository, digest: &Digest) -> Result<bool, Error> {
        let lease = self.content.lease();
        if !self.has_blob(from, digest, true).await? {
            return Ok(false);
        }
        if self.verified_size(digest).await?.is_none() {
            return Ok(false);
        }
        self.add_blob(to, digest, lease).await?;
        Ok(true)
    }

    /// Removes a blob from a repository unless one of its manifests names it.
    pub(crate) async fn remove_blob(&self, repository: &Repository, digest: &Digest) -> Result<BlobRemoval, Error> {
        let (repository, digest, this) = (repository.clone(), digest.clone(), self.clone());
        let alone = self.changes.clone().write_owned().await;
        change("remove a blob", async move {
            let _held = alone;
            let owner = blob_owner(&repository, &digest);
            let removal = this.on_disk("remove a blob", move |metadata| {
                if let Some(manifest) = metadata.named_blobs(&repository, &HashSet::new())?.remove(&digest) {
                    return Ok(BlobRemoval::Named(manifest));
                }
                if !metadata.remove_blob(&repository, &digest)? {
                    return Ok(BlobRemoval::Absent);
                }
                metadata.prune(&repository)?;
                Ok(BlobRemoval::Removed)
            });
            let removal = removal.await?;
            if removal == BlobRemoval::Removed {
                this.unpin(owner).await?;
            }
            Ok(removal)
        })
        .await
    }

    /// Resolves a reference to a manifest; `None` when it is absent.
    pub(crate) async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Option<(Digest, Record)>, Error> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.on_disk("look for a manifest", move |metadata| {
            let digest = match reference {
                Reference::Digest(digest) => Some(digest),
                Reference::Tag(tag) => metadata.tag(&repository, &tag)?,
                Reference::Invalid(_) => None,
            };
            let Some(digest) = digest else { return Ok(None) };
            Ok(metadata.record(&repository, &digest)?.map(|record| (digest, record)))
        })
        .await
    }

    /// Removes a manifest with its tags; false when it was absent.
    pub(crate) async fn remove_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, Error> {
        let (repository, digest, this) = (repository.clone(), digest.clone(), self.clone());
        let alone = self.changes.clone().write_owned().await;
        change("remove a manifest", async move {
            let _held = alone;
            let owner = manifest_owner(&repository, &digest);
            let removed = this.on_disk("remove a manifest", move |metadata| {
                let removed = metadata.remove_manifest(&repository, &digest)?;
                metadata.prune(&repository)?;
                Ok(removed)
            });
            let removed = removed.await?;
            if removed {
                this.unpin(owner).await?;
            }
            Ok(removed)
        })
        .await
    }

    /// Removes a tag only; false when it was absent.
    pub(crate) async fn remove_tag(&self, repository: &Repository, tag: &str) -> Result<bool, Error> {
        let (repository, tag, this) = (repository.clone(), tag.to_owned(), self.clone());
        let alone = self.changes.clone().write_owned().await;
        change("remove a tag", async move {
            let _held = alone;
            this.on_disk("remove a tag", move |metadata| metadata.remove_tag(&repository, &tag)).await
        })
        .await
    }

    /// Tags of a repository, unsorted; `None` for an unknown repository.
    pub(crate) async fn tags(&self, repository: &Repository) -> Result<Option<Vec<String>>, Error> {
        let repository = repository.clone();
        self.on_disk("list tags", move |metadata| {
            if metadata.has_repository(&repository)? { metadata.tags(&repository).map(Some) } else { Ok(None) }
        })
        .await
    }

    /// All repositories, unsorted.
    pub(crate) async fn names(&self) -> Result<Vec<Repository>, Error> {
        self.on_disk("list repositories", Metadata::repositories).await
    }

    /// The manifests of a repository that refer to `subject`, sorted by digest.
    pub(crate) async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<(Digest, Record)>, Error> {
        let (repository, subject) = (repository.clone(), subject.clone());
        self.on_disk("list referrers", move |metadata| {
            let mut digests = metadata.referrers(&repository, &subject)?;
            digests.sort();
            let mut found = Vec::with_capacity(digests.len());
            for digest in digests {
                // A crash during a push may leave a link without its record; the push was not
                // acknowledged.
                let record = metadata.record(&repository, &digest)?;
                found.extend(record.map(|record| (digest, record)));
            }
            Ok(found)
        })
        .await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Metadata) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let metadata = self.metadata.clone();
        blocking(operation, move || work(&metadata)).await
    }

    async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let size = self.content.size(digest).await;
        size.map_err(|source| Error::Content { operation: "look at", digest: digest.clone(), source: source.into() })
    }

    /// As [`Self::size`], for content that was verified.
    async fn verified_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let size = self.content.verified_size(digest).await;
        size.map_err(|source| Error::Content { operation: "verify", digest: digest.clone(), source: source.into() })
    }

    async fn pin(&self, owner: String, digest: &Digest) -> Result<(), Error> {
        let pinned = self.content.pin(&owner, digest).await;
        pinned.map_err(|source| Error::Content { operation: "pin", digest: digest.clone(), source: source.into() })
    }

    async fn unpin(&self, owner: String) -> Result<(), Error> {
        self.content.unpin(&owner).await.map_err(|source| Error::Unpin { owner, source: source.into() })
    }
}

async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|source| Error::Task { operation, source })?
}

/// Runs a change to completion even when its client disconnects.
async fn change<T: Send + 'static>(
    operation: &'static str,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.map_err(|source| Error::Task { operation, source })?
}
