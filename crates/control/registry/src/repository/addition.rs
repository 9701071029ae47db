//! Adding a manifest to a repository, after everything that it names.

use bytes::Bytes;
use types::Digest;

use super::layout::manifest_owner;
use super::record::Record;
use super::{Repositories, change};
use crate::error::Error;
use crate::names::Repository;
use crate::push_event::PushEvent;

/// A manifest to be added.
#[derive(Debug, Clone)]
pub(crate) struct NewManifest {
    pub(crate) digest: Digest,
    pub(crate) content: Bytes,
    pub(crate) record: Record,
    /// The stated length of each of `record.blobs`, in the same order.
    pub(crate) blob_sizes: Vec<u64>,
    /// Child manifests of an index.
    pub(crate) manifests: Vec<Digest>,
    /// The tag to set.
    pub(crate) tag: Option<String>,
}

/// Outcome of an addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Addition {
    Added,
    /// The repository has no such blob.
    MissingBlob(Digest),
    /// The repository has no such manifest.
    MissingManifest(Digest),
    /// The length of a blob differs from the stated one.
    WrongSize {
        digest: Digest,
        actual: u64,
        stated: u64,
    },
}

impl Repositories {
    /// Adds a manifest durably, or returns what is missing.
    pub(crate) async fn add_manifest(&self, repository: &Repository, manifest: NewManifest) -> Result<Addition, Error> {
        let (repository, this) = (repository.clone(), self.clone());
        let shared = self.changes.clone().read_owned().await;
        change("add a manifest", async move {
            let _held = (shared, this.content.lease());
            if let Some(lack) = this.first_missing(&repository, &manifest).await? {
                return Ok(lack);
            }
            let NewManifest { digest, content, record, tag, .. } = manifest;
            let put = this.content.put(&digest, content).await;
            put.map_err(|source| Error::Content {
                operation: "keep manifest",
                digest: digest.clone(),
                source: source.into(),
            })?;
            this.pin(manifest_owner(&repository, &digest), &digest).await?;
            let (added, media_type) = (digest.clone(), record.media_type.clone());
            this.on_disk("add a manifest", move |metadata| {
                metadata.add_manifest(&repository, &added, &record, tag.as_deref())
            })
            .await?;
            (this.push_events)(PushEvent::Manifest { digest: &digest, media_type: &media_type });
            Ok(Addition::Added)
        })
        .await
    }

    /// The first reference of a manifest that its repository lacks or that has another length.
    async fn first_missing(&self, repository: &Repository, manifest: &NewManifest) -> Result<Option<Addition>, Error> {
        let (repository, blobs, children) =
            (repository.clone(), manifest.record.blobs.clone(), manifest.manifests.clone());
        let missing = self.on_disk("check a manifest", move |metadata| {
            for digest in blobs {
                if !metadata.has_blob(&repository, &digest)? {
                    return Ok(Some(Addition::MissingBlob(digest)));
                }
            }
            for digest in children {
                if metadata.record(&repository, &digest)?.is_none() {
                    return Ok(Some(Addition::MissingManifest(digest)));
                }
            }
            Ok(None)
        });
        if let Some(missing) = missing.await? {
            return Ok(Some(missing));
        }
        for digest in &manifest.manifests {
            if self.verified_size(digest).await?.is_none() {
                return Ok(Some(Addition::MissingManifest(digest.clone())));
            }
        }
        for (digest, stated) in manifest.record.blobs.iter().zip(&manifest.blob_sizes) {
            match self.verified_size(digest).await? {
                None => return Ok(Some(Addition::MissingBlob(digest.clone()))),
                Some(actual) if actual != *stated => {
                    return Ok(Some(Addition::WrongSize { digest: digest.clone(), actual, stated: *stated }));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }
}
