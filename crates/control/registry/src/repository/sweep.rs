//! Reconciles pins with files after a crash, and removes unreferenced blobs.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use types::Digest;

use super::layout::{BLOB_OWNERS, MANIFEST_OWNERS, blob_owner, manifest_owner};
use super::stored::StoredImage;
use super::{Repositories, change};
use crate::error::Error;
use crate::names::Repository;

/// The contents of one repository.
struct Contents {
    repository: Repository,
    blobs: Vec<Digest>,
    manifests: Vec<Digest>,
}

impl Repositories {
    /// Pins everything that the files name. A file is written after its pin and removed before it,
    /// so a crash leaves surplus pins. A file whose content is gone means that the content store
    /// lost it: it is served as absent, so that a push restores it.
    pub(super) async fn reconcile(&self) -> Result<(), Error> {
        let mut lost = 0;
        for (owner, digest) in self.owners().await? {
            if !self.ensure_pinned(&owner, &digest).await? {
                tracing::debug!(owner, "content of a pin is missing");
                lost += 1;
            }
        }
        if lost > 0 {
            tracing::warn!(lost, "content of the registry is missing; push the images again");
        }
        if self.content.keeps_all() { Ok(()) } else { self.drop_orphans().await }
    }

    /// Removes pins without a file.
    pub(crate) async fn drop_orphans(&self) -> Result<(), Error> {
        // An addition pins before it writes its file; none may be between the two.
        let _alone = self.changes.write().await;
        let named = self.owners().await?;
        let pins = [MANIFEST_OWNERS, BLOB_OWNERS].into_iter().flat_map(|prefix| self.content.pins(prefix));
        for (owner, _) in pins.filter(|(owner, _)| !named.contains_key(owner)) {
            self.unpin(owner).await?;
        }
        Ok(())
    }

    /// Owners of pins according to the files, with their digests.
    async fn owners(&self) -> Result<HashMap<String, Digest>, Error> {
        let contents = self.on_disk("list the contents", |metadata| {
            let held = metadata.repositories()?.into_iter().map(|repository| {
                let (blobs, manifests) = (metadata.blobs(&repository)?, metadata.manifests(&repository)?);
                Ok(Contents { repository, blobs, manifests })
            });
            held.collect::<Result<Vec<_>, Error>>()
        });
        let mut owners = HashMap::new();
        for Contents { repository, blobs, manifests } in contents.await? {
            owners.extend(blobs.into_iter().map(|digest| (blob_owner(&repository, &digest), digest)));
            owners.extend(manifests.into_iter().map(|digest| (manifest_owner(&repository, &digest), digest)));
        }
        Ok(owners)
    }

    /// False when the content does not exist.
    async fn ensure_pinned(&self, owner: &str, digest: &Digest) -> Result<bool, Error> {
        if self.size(digest).await?.is_none() {
            return Ok(false);
        }
        if self.content.pinned(owner).as_ref() != Some(digest) {
            self.pin(owner.to_owned(), digest).await?;
        }
        Ok(true)
    }

    /// Removes blobs that no manifest of their repository names and that were not requested since
    /// `before`. Failures are logged and retried at the next sweep.
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
        // Checked first without the lock: most repositories have nothing to remove.
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

    /// Owners of the pins that a removal of `images` and a sweep would remove.
    pub(crate) async fn released(&self, images: &[StoredImage], before: SystemTime) -> Result<HashSet<String>, Error> {
        let mut owners = HashSet::new();
        for repository in self.names().await? {
            let images = images.iter().filter(|image| image.repository == repository.as_str());
            let gone: HashSet<Digest> = images.map(|image| image.digest.clone()).collect();
            owners.extend(gone.iter().map(|digest| manifest_owner(&repository, digest)));
            let blobs = self.unreferenced_without(&repository, before, gone).await?;
            owners.extend(blobs.iter().map(|digest| blob_owner(&repository, digest)));
        }
        Ok(owners)
    }

    async fn unreferenced(&self, repository: &Repository, before: SystemTime) -> Result<Vec<Digest>, Error> {
        self.unreferenced_without(repository, before, HashSet::new()).await
    }

    /// Blobs that no manifest names, apart from those that are `gone`.
    async fn unreferenced_without(
        &self,
        repository: &Repository,
        before: SystemTime,
        gone: HashSet<Digest>,
    ) -> Result<Vec<Digest>, Error> {
        let repository = repository.clone();
        self.on_disk("look for unreferenced blobs", move |metadata| {
            // Without an old blob, which is the usual case, the manifests need not be read.
            let mut old = metadata.blobs_before(&repository, before)?;
            if !old.is_empty() {
                let named = metadata.named_blobs(&repository, &gone)?;
                old.retain(|digest| !named.contains_key(digest));
            }
            Ok(old)
        })
        .await
    }
}
