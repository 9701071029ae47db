//! Making pins and files agree after a crash, and taking out blobs that no manifest came for. Must not know requests.

use std::collections::HashSet;
use std::time::SystemTime;

use types::Digest;

use super::layout::{BLOB_OWNERS, MANIFEST_OWNERS, blob_owner, manifest_owner};
use super::{Repositories, change};
use crate::error::Error;
use crate::names::Repository;

/// What one repository holds.
struct Holdings {
    repository: Repository,
    blobs: Vec<Digest>,
    manifests: Vec<Digest>,
}

impl Repositories {
    /// Pins all that the files name and nothing else. Files are written after their pin and removed before it, so a pin
    /// too many is usual after a crash; a file without its content means that the content store has lost something, and
    /// is forgotten, so that a push brings it back.
    pub(super) async fn reconcile(&self) -> Result<(), Error> {
        let holdings = self.on_disk("list what is held", |metadata| {
            let held = metadata.repositories()?.into_iter().map(|repository| {
                let (blobs, manifests) = (metadata.blobs(&repository)?, metadata.manifests(&repository)?);
                Ok(Holdings { repository, blobs, manifests })
            });
            held.collect::<Result<Vec<_>, Error>>()
        });
        let mut owners = HashSet::new();
        for Holdings { repository, blobs, manifests } in holdings.await? {
            for digest in blobs {
                let owner = blob_owner(&repository, &digest);
                if self.ensure_pinned(&owner, &digest).await? {
                    owners.insert(owner);
                } else {
                    tracing::warn!(%repository, %digest, "the content of a blob is lost; push it again");
                    let repository = repository.clone();
                    self.on_disk("forget a blob", move |metadata| metadata.remove_blob(&repository, &digest)).await?;
                }
            }
            for digest in manifests {
                let owner = manifest_owner(&repository, &digest);
                if self.ensure_pinned(&owner, &digest).await? {
                    owners.insert(owner);
                } else {
                    tracing::warn!(%repository, %digest, "the content of a manifest is lost; push it again");
                    let repository = repository.clone();
                    self.on_disk("forget a manifest", move |metadata| metadata.remove_manifest(&repository, &digest))
                        .await?;
                }
            }
        }
        let pins = [MANIFEST_OWNERS, BLOB_OWNERS].into_iter().flat_map(|prefix| self.content.pins(prefix));
        for (owner, _) in pins.filter(|(owner, _)| !owners.contains(owner)) {
            self.unpin(owner).await?;
        }
        Ok(())
    }

    /// False when there is no content to pin.
    async fn ensure_pinned(&self, owner: &str, digest: &Digest) -> Result<bool, Error> {
        if self.size(digest).await?.is_none() {
            return Ok(false);
        }
        if self.content.pinned(owner).as_ref() != Some(digest) {
            self.pin(owner.to_owned(), digest).await?;
        }
        Ok(true)
    }

    /// Takes out the blobs that no manifest of their repository names and nobody has asked for since `before`. What fails
    /// is logged and tried again next time.
    pub(crate) async fn sweep(&self, before: SystemTime) {
        let names = match self.names().await {
            Ok(names) => names,
            Err(error) => return tracing::error!(error = error.chain(), "cannot sweep the registry"),
        };
        for repository in names {
            if let Err(error) = self.sweep_one(&repository, before).await {
                tracing::error!(%repository, error = error.chain(), "cannot sweep a repository");
            }
        }
    }

    async fn sweep_one(&self, repository: &Repository, before: SystemTime) -> Result<(), Error> {
        // Most repositories have nothing to take out; those need not keep additions waiting.
        if self.unreferenced(repository, before).await?.is_empty() {
            return Ok(());
        }
        let (repository, this) = (repository.clone(), self.clone());
        let alone = self.changes.clone().write_owned().await;
        change("sweep a repository", async move {
            let _held = alone;
            for digest in this.unreferenced(&repository, before).await? {
                let owner = blob_owner(&repository, &digest);
                let name = repository.clone();
                this.on_disk("remove a blob", move |metadata| metadata.remove_blob(&name, &digest)).await?;
                this.unpin(owner).await?;
            }
            this.on_disk("remove an empty repository", move |metadata| metadata.prune(&repository)).await
        })
        .await
    }

    async fn unreferenced(&self, repository: &Repository, before: SystemTime) -> Result<Vec<Digest>, Error> {
        let repository = repository.clone();
        self.on_disk("look for unreferenced blobs", move |metadata| {
            // A layer stays in use for years after its push: without an old blob the manifests need not be read.
            let mut old = metadata.blobs_before(&repository, before)?;
            if !old.is_empty() {
                let named = metadata.named_blobs(&repository)?;
                old.retain(|digest| !named.contains_key(digest));
            }
            Ok(old)
        })
        .await
    }
}
