//! Listing of stored images, and removal of untagged manifests.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use types::Digest;

use super::layout::{BLOB_OWNERS, MANIFEST_OWNERS, manifest_owner};
use super::record::Record;
use super::{Repositories, change};
use crate::error::Error;
use crate::manifests::read_document;
use crate::names::Repository;

/// Why a manifest is retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retention {
    /// A tag points to it.
    Tagged,
    /// Untagged, but pinned outside the registry: it is deployed.
    Deployed,
    /// Untagged, but named by a retained manifest, or the referrer of one.
    Named,
    /// Not retained.
    Untagged,
}

/// A manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// The repository.
    pub repository: String,
    /// Its digest.
    pub digest: Digest,
    /// Tags that point to it, sorted.
    pub tags: Vec<String>,
    /// Why it is retained.
    pub retention: Retention,
    /// Bytes of the manifest and its blobs; shared blobs count for each image.
    pub size_bytes: u64,
    /// Time of its last push or lost tag, in Unix milliseconds.
    pub changed_ms: u64,
    /// Its blobs, with their lengths.
    pub blobs: Vec<(Digest, u64)>,
}

/// A manifest with its references.
struct Node {
    image: StoredImage,
    children: Vec<Digest>,
    subject: Option<Digest>,
}

impl Repositories {
    /// All manifests, grouped by repository.
    pub(crate) async fn stored(&self) -> Result<Vec<StoredImage>, Error> {
        let deployed = self.pinned_by_others();
        let mut images = Vec::new();
        let mut names = self.names().await?;
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        for repository in names {
            images.extend(self.stored_in(&repository, &deployed).await?);
        }
        Ok(images)
    }

    /// Removes manifests that have been untagged since before `before`, and returns them. A failing
    /// repository is logged and retried next time.
    pub(crate) async fn remove_untagged(&self, before: SystemTime) -> Result<Vec<StoredImage>, Error> {
        let mut removed = Vec::new();
        for repository in self.names().await? {
            match self.remove_untagged_in(&repository, before).await {
                Ok(images) => removed.extend(images),
                Err(error) => tracing::error!(%repository, error = error.chain(), "cannot remove untagged manifests"),
            }
        }
        Ok(removed)
    }

    async fn remove_untagged_in(&self, repository: &Repository, before: SystemTime) -> Result<Vec<StoredImage>, Error> {
        // Checked first without the lock: most repositories have nothing to remove.
        if untagged(self.stored_in(repository, &self.pinned_by_others()).await?, before).is_empty() {
            return Ok(Vec::new());
        }
        let (repository, this) = (repository.clone(), self.clone());
        let alone = self.changes.clone().write_owned().await;
        change("remove untagged manifests", async move {
            let _held = alone;
            let images = untagged(this.stored_in(&repository, &this.pinned_by_others()).await?, before);
            for image in &images {
                let (name, digest) = (repository.clone(), image.digest.clone());
                let owner = manifest_owner(&repository, &digest);
                this.on_disk("remove a manifest", move |metadata| metadata.remove_manifest(&name, &digest)).await?;
                this.unpin(owner).await?;
            }
            Ok(images)
        })
        .await
    }

    /// Digests pinned by owners outside the registry.
    fn pinned_by_others(&self) -> HashSet<Digest> {
        let ours = |owner: &str| owner.starts_with(MANIFEST_OWNERS) || owner.starts_with(BLOB_OWNERS);
        self.content.pins("").into_iter().filter(|(owner, _)| !ours(owner)).map(|(_, digest)| digest).collect()
    }

    async fn stored_in(&self, repository: &Repository, deployed: &HashSet<Digest>) -> Result<Vec<StoredImage>, Error> {
        let name = repository.clone();
        let records = self.on_disk("list manifests", move |metadata| {
            let mut tags: HashMap<Digest, Vec<String>> = HashMap::new();
            for tag in metadata.tags(&name)? {
                if let Some(digest) = metadata.tag(&name, &tag)? {
                    tags.entry(digest).or_default().push(tag);
                }
            }
            let mut records = Vec::new();
            for digest in metadata.manifests(&name)? {
                let Some(record) = metadata.record(&name, &digest)? else { continue };
                let mut tags = tags.remove(&digest).unwrap_or_default();
                tags.sort();
                let changed = metadata.manifest_modified(&name, &digest)?.unwrap_or(UNIX_EPOCH);
                records.push((digest, record, tags, changed));
            }
            Ok(records)
        });
        let mut nodes = Vec::new();
        for (digest, record, tags, changed) in records.await? {
            nodes.push(self.node(repository, digest, record, tags, changed, deployed).await?);
        }
        mark_named(&mut nodes);
        let mut images: Vec<_> = nodes.into_iter().map(|node| node.image).collect();
        images.sort_by(|a, b| b.changed_ms.cmp(&a.changed_ms).then_with(|| a.digest.as_str().cmp(b.digest.as_str())));
        Ok(images)
    }

    async fn node(
        &self,
        repository: &Repository,
        digest: Digest,
        record: Record,
        tags: Vec<String>,
        changed: SystemTime,
        deployed: &HashSet<Digest>,
    ) -> Result<Node, Error> {
        let content = self.content.read_small(&digest, record.size_bytes).await;
        // A damaged or lost manifest names no children; its record still lists its blobs.
        let document = content.ok().flatten().and_then(|body| read_document(Some(&record.media_type), &body).ok());
        let (blobs, children) = document.map_or_else(Default::default, |document| (document.blobs, document.manifests));
        let retention = match (tags.is_empty(), deployed.contains(&digest)) {
            (false, _) => Retention::Tagged,
            (true, true) => Retention::Deployed,
            (true, false) => Retention::Untagged,
        };
        let size_bytes = blobs.iter().fold(record.size_bytes, |sum, (_, bytes)| sum.saturating_add(*bytes));
        let image = StoredImage {
            repository: repository.to_string(),
            digest,
            tags,
            retention,
            size_bytes,
            changed_ms: unix_ms(changed),
            blobs,
        };
        Ok(Node { image, children, subject: record.referrer.map(|referrer| referrer.subject) })
    }
}

/// Marks what retained manifests retain: children of an index, and referrers. Pure.
fn mark_named(nodes: &mut [Node]) {
    loop {
        let stays: HashSet<Digest> = nodes
            .iter()
            .filter(|node| node.image.retention != Retention::Untagged)
            .map(|node| node.image.digest.clone())
            .collect();
        let children = nodes.iter().filter(|node| stays.contains(&node.image.digest)).flat_map(|node| &node.children);
        let children: HashSet<Digest> = children.cloned().collect();
        let is_named = |node: &Node| {
            children.contains(&node.image.digest)
                || node.subject.as_ref().is_some_and(|subject| stays.contains(subject))
        };
        let mut changed = false;
        for node in nodes.iter_mut().filter(|node| node.image.retention == Retention::Untagged) {
            if is_named(node) {
                (node.image.retention, changed) = (Retention::Named, true);
            }
        }
        if !changed {
            return;
        }
    }
}

/// Images untagged since before `before`.
pub(crate) fn untagged(mut images: Vec<StoredImage>, before: SystemTime) -> Vec<StoredImage> {
    images.retain(|image| image.retention == Retention::Untagged && image.changed_ms <= unix_ms(before));
    images
}

/// The time `time` ago.
pub(crate) fn ago(time: Duration) -> SystemTime {
    SystemTime::now().checked_sub(time).unwrap_or(UNIX_EPOCH)
}

/// Bytes of the blobs that only `gone` names.
pub(crate) fn freed_bytes(all: &[StoredImage], gone: &[StoredImage]) -> u64 {
    let key = |image: &StoredImage| (image.repository.clone(), image.digest.clone());
    let leaving: HashSet<_> = gone.iter().map(key).collect();
    let stays = all.iter().filter(|image| !leaving.contains(&key(image)));
    let mut counted: HashSet<&Digest> = stays.flat_map(|image| image.blobs.iter().map(|(digest, _)| digest)).collect();
    let blobs = gone.iter().flat_map(|image| &image.blobs);
    blobs.filter(|(digest, _)| counted.insert(digest)).map(|(_, bytes)| bytes).sum()
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: u8, retention: Retention, children: &[u8], subject: Option<u8>, blobs: &[u8]) -> Node {
        let digest = |name: u8| Digest::from_sha256(&[name; 32]);
        let image = StoredImage {
            repository: "a".to_owned(),
            digest: digest(name),
            tags: Vec::new(),
            retention,
            size_bytes: 0,
            changed_ms: 7,
            blobs: blobs.iter().map(|blob| (digest(*blob), 10)).collect(),
        };
        Node { image, children: children.iter().copied().map(digest).collect(), subject: subject.map(digest) }
    }

    #[test]
    fn children_and_referrers_of_retained_manifests_are_retained() {
        let mut nodes = [
            node(1, Retention::Tagged, &[2], None, &[]),
            node(2, Retention::Untagged, &[3], None, &[]),
            node(3, Retention::Untagged, &[], None, &[]),
            node(4, Retention::Untagged, &[], Some(3), &[]),
            node(5, Retention::Untagged, &[6], None, &[]),
            node(6, Retention::Untagged, &[], None, &[]),
            node(7, Retention::Deployed, &[], None, &[]),
        ];
        mark_named(&mut nodes);
        let retention: Vec<_> = nodes.iter().map(|node| node.image.retention).collect();
        use Retention::{Deployed, Named, Tagged, Untagged};
        assert_eq!(retention, [Tagged, Named, Named, Named, Untagged, Untagged, Deployed]);
    }

    #[test]
    fn blobs_named_by_others_are_not_freed_and_shared_ones_count_once() {
        let nodes = [
            node(1, Retention::Tagged, &[], None, &[10, 11]),
            node(2, Retention::Untagged, &[], None, &[11, 12]),
            node(3, Retention::Untagged, &[], None, &[12, 13]),
        ];
        let all: Vec<_> = nodes.into_iter().map(|node| node.image).collect();
        let gone = untagged(all.clone(), UNIX_EPOCH + Duration::from_millis(7));
        assert_eq!(freed_bytes(&all, &gone), 20);
        assert!(untagged(all, UNIX_EPOCH).is_empty());
    }
}
