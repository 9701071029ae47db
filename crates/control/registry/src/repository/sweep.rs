//! Making pins and files agree after a crash, and taking out blobs that no manifest came for. Must not know requests.

use std::collections::HashMap;
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
    /// Pins all that the files name. Files are written after their pin and removed before it, so a pin too many is usual
    /// after a crash; a file without its content means that the content store has lost something: it answers as if it were
    /// not there, so that a push brings it back.
    pub(super) async fn reconcile(&self) -> Result<(), Error> {
        let mut lost = 0;
        for (owner, digest) in self.owners().await? {
            if !self.ensure_pinned(&owner, &digest).await? {
                tracing::debug!(owner, "content is lost");
                lost += 1;
            }
        }
        if lost > 0 {
            tracing::warn!(lost, "content of the registry is lost; push the images again");
        }
        if self.content.keeps_all() { Ok(()) } else { self.drop_orphans().await }
    }

    /// Ends the pins that no file stands for.
    pub(crate) async fn drop_orphans(&self) -> Result<(), Error> {
        // Additions pin before they write: none may be between the two.
        let _alone = self.changes.write().await;
        let named = self.owners().await?;
        let pins = [MANIFEST_OWNERS, BLOB_OWNERS].into_iter().flat_map(|prefix| self.content.pins(prefix));
        for (owner, _) in pins.filter(|(owner, _)| !named.contains_key(owner)) {
            self.unpin(owner).await?;
        }
        Ok(())
    }

    /// The owners that the files stand for, with what each pins.
    async fn owners(&self) -> Result<HashMap<String, Digest>, Error> {
        let holdings = self.on_disk("list what is held", |metadata| {
            let held = metadata.repositories()?.into_iter().map(|repository| {
                let (blobs, manifests) = (metadata.blobs(&repository)?, metadata.manifests(&repository)?);
                Ok(Holdings { repository, blobs, manifests })
            });
            held.collect::<Result<Vec<_>, Error>>()
        });
        let mut owners = HashMap::new();
        for Holdings { repository, blobs, manifests } in holdings.await? {
            owners.extend(blobs.into_iter().map(|digest| (blob_owner(&repository, &digest), digest)));
            owners.extend(manifests.into_iter().map(|digest| (manifest_owner(&repository, &digest), digest)));
        }
        Ok(owners)
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
