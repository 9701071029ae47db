//! What a pinned document leads to, remembered beside it: when the document itself cannot be read any more, what it names
//! is still known and is not collected. Must not know pins' owners, or how images are made.
//!
//! `reach/<64 hex digits of the document>.json`, not synced: what is lost is found out again from the document.

use std::collections::HashSet;
use std::fs;

use oci::ImageConfig;
use serde::{Deserialize, Serialize};
use types::Digest;

use super::ContentStore;
use super::ledger::Item;
use crate::Error;
use crate::layers::LayerName;

/// Content below a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// The document, what it names, and what that names.
    pub(crate) blobs: Vec<Digest>,
    /// Diff ids of each image in it whose config is here, lowest first.
    pub(crate) stacks: Vec<Vec<Digest>>,
}

impl Reach {
    /// Reads it from the documents. Blocks.
    ///
    /// # Errors
    /// `Damaged`, `Io`: a document cannot be read, so what it names is not known.
    pub(crate) fn of(content: &ContentStore, root: &Digest) -> Result<Self, Error> {
        let (mut reach, mut configs) = (Self::default(), Vec::new());
        let mut blob = |item| {
            if let Item::Blob(digest) = item {
                reach.blobs.push(digest);
            }
        };
        content.walk(root, &mut blob, &mut |references| {
            let layers = references.blobs.len();
            configs.extend(references.config.map(|config| (config, layers)));
        })?;
        for (config, layers) in configs {
            let Some(bytes) = content.read_small_now(&config, content.config().config_bytes_max)? else { continue };
            // The config of another platform of the same index has no layers here.
            reach.stacks.extend(ImageConfig::read(&bytes, layers).ok().map(|config| config.diff_ids));
        }
        Ok(reach)
    }

    /// As it was remembered; `None` when it was not.
    pub(crate) fn remembered(content: &ContentStore, root: &Digest) -> Option<Self> {
        serde_json::from_slice(&fs::read(content.layout().reach(root)).ok()?).ok()
    }

    /// Remembers it, if there is more to it than the document.
    pub(crate) fn remember(&self, content: &ContentStore, root: &Digest) {
        if self.blobs.len() <= 1 || Self::remembered(content, root).as_ref() == Some(self) {
            return;
        }
        let (layout, bytes) = (content.layout(), serde_json::to_vec(self).expect("digests are always JSON"));
        let draft = layout.draft();
        let written = fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, layout.reach(root)));
        if let Err(error) = written {
            tracing::debug!(%root, %error, "what a document names could not be remembered");
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

/// Owners of pins that lead to an item.
pub(crate) fn owners_of(content: &ContentStore, item: &Item) -> Vec<String> {
    let mut owners = Vec::new();
    for (owner, root) in content.pins("") {
        let is_root = matches!(item, Item::Blob(digest) if *digest == root);
        let leads = || Reach::remembered(content, &root).or_else(|| Reach::of(content, &root).ok());
        if is_root || leads().is_some_and(|reach| reach.has(item)) {
            owners.push(owner);
        }
    }
    owners
}

/// Forgets what is remembered of documents that nobody pins.
pub(crate) fn forget_others(content: &ContentStore, roots: &HashSet<Digest>) {
    for entry in fs::read_dir(content.layout().reaches()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let digest = name.to_str().and_then(|name| name.strip_suffix(".json"));
        let digest = digest.and_then(|hex| format!("sha256:{hex}").parse().ok());
        if digest.is_none_or(|digest| !roots.contains(&digest)) {
            // What stays is small and is tried again.
            let _ = fs::remove_file(entry.path());
        }
    }
}
