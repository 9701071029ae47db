//! The references of a pinned document, stored beside it: if the document becomes unreadable, the
//! content that it references is still known and is not collected.
//!
//! `reach/<64 hex digits of the document>.json`, not synced: a lost file is derived from the
//! document again.

use std::collections::HashSet;
use std::fs;

use oci::{ImageConfig, References, references};
use serde::{Deserialize, Serialize};
use types::Digest;

use crate::Error;
use crate::blobs::Blobs;
use crate::gc_roots::{GcRoots, Item};
use crate::layer_name::LayerName;
use crate::layout::Layout;

/// Maximum nesting of indexes; deeper ones are not followed.
pub const INDEX_DEPTH_MAX: usize = 4;

/// Content below a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reachable {
    /// The document and everything that it references, directly or indirectly.
    pub blobs: Vec<Digest>,
    /// Diff ids of each referenced image whose config is stored, lowest first.
    pub stacks: Vec<Vec<Digest>>,
}

impl Reachable {
    /// Derives it from the documents. Blocks.
    ///
    /// # Errors
    /// `Damaged`, `Io`: a document cannot be read, so its references are unknown.
    pub(crate) fn of(blobs: &Blobs, root: &Digest) -> Result<Self, Error> {
        let (mut reachable, mut configs) = (Self::default(), Vec::new());
        let mut blob = |item| {
            if let Item::Blob(digest) = item {
                reachable.blobs.push(digest);
            }
        };
        walk(blobs, root, &mut blob, &mut |references| {
            let layers = references.blobs.len();
            configs.extend(references.config.map(|config| (config, layers)));
        })?;
        for (config, layers) in configs {
            let Some(bytes) = blobs.read_config(&config)? else { continue };
            // The layers of another platform's image in the index are not stored.
            reachable.stacks.extend(ImageConfig::read(&bytes, layers).ok().map(|config| config.diff_ids));
        }
        Ok(reachable)
    }

    /// Reads the stored record; `None` without one.
    pub(crate) fn remembered(layout: &Layout, root: &Digest) -> Option<Self> {
        serde_json::from_slice(&fs::read(layout.reachable(root)).ok()?).ok()
    }

    /// Stores it, if it has more than the document.
    pub(crate) fn remember(&self, layout: &Layout, root: &Digest) {
        if self.blobs.len() <= 1 || Self::remembered(layout, root).as_ref() == Some(self) {
            return;
        }
        let bytes = serde_json::to_vec(self).expect("digests are always JSON");
        let draft = layout.draft();
        let written = fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, layout.reachable(root)));
        if let Err(error) = written {
            tracing::debug!(%root, %error, "cannot cache the references of a document");
        }
    }

    fn has(&self, item: &Item) -> bool {
        match item {
            Item::Blob(digest) => self.blobs.contains(digest),
            Item::Layer(name) => self.stacks.iter().any(|stack| {
                name.diff_id().map_or_else(|| LayerName::is_of_stack(name, stack), |diff_id| stack.contains(&diff_id))
            }),
        }
    }
}

/// Owners of pins that reach an item.
pub(crate) fn owners_of(roots: &GcRoots, layout: &Layout, blobs: &Blobs, item: &Item) -> Vec<String> {
    let mut owners = Vec::new();
    for (owner, root) in roots.pins("") {
        let is_root = matches!(item, Item::Blob(digest) if *digest == root);
        let leads = || Reachable::remembered(layout, &root).or_else(|| Reachable::of(blobs, &root).ok());
        if is_root || leads().is_some_and(|reachable| reachable.has(item)) {
            owners.push(owner);
        }
    }
    owners
}

/// Removes records of documents that are not pinned.
pub(crate) fn forget_others(layout: &Layout, roots: &HashSet<Digest>) {
    for entry in fs::read_dir(layout.reachables()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let digest = name.to_str().and_then(|name| name.strip_suffix(".json"));
        let digest = digest.and_then(|hex| format!("sha256:{hex}").parse().ok());
        if digest.is_none_or(|digest| !roots.contains(&digest)) {
            // A leftover is small, and its removal is tried again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Walks the reference graph from `root`: each digest goes to `item`, the references of each
/// document to `document`. Blocks. A branch ends at missing content and at content that is not a
/// document.
pub(crate) fn walk(
    blobs: &Blobs,
    root: &Digest,
    item: &mut dyn FnMut(Item),
    document: &mut dyn FnMut(References),
) -> Result<(), Error> {
    let mut documents = vec![(root.clone(), 0)];
    while let Some((digest, depth)) = documents.pop() {
        item(Item::Blob(digest.clone()));
        let bytes = match blobs.read_document(&digest) {
            Ok(Some(bytes)) => bytes,
            // An index references platforms that were never pulled; content over the limit is not a
            // manifest.
            Ok(None) | Err(Error::ContentTooLarge { .. }) => continue,
            Err(error) => return Err(error),
        };
        let named = references(&bytes);
        named.config.iter().chain(&named.blobs).for_each(|d| item(Item::Blob(d.clone())));
        if depth < INDEX_DEPTH_MAX {
            documents.extend(named.manifests.iter().map(|d| (d.clone(), depth + 1)));
        }
        document(named);
    }
    Ok(())
}
