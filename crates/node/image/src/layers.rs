//! Unpacked layers on disk, by name. Must not know images or how a layer is unpacked.
//!
//! ```text
//! layers/d-<64 hex digits>/     a layer by its diff id, shared by all images that have it
//! layers/c-<64 hex digits>/     a layer whose content depends on those below it, by its chain id
//!   fs/                         the directory that overlayfs mounts
//!   layer.json                  {"bytes", "entries", "implied"}
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::Digest;

use crate::Error;
use crate::content::digest_of;
use crate::content::durable;
use crate::content::layout::Layout;
use crate::content::ledger::{Item, Ledger};

/// Name of a layer's directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LayerName(Arc<str>);

impl LayerName {
    /// A layer by itself.
    pub(crate) fn shared(diff_id: &Digest) -> Self {
        Self(format!("d-{}", diff_id.hex()).into())
    }

    /// A layer on the layers below it.
    pub(crate) fn chained(chain_id: &Digest) -> Self {
        Self(format!("c-{}", chain_id.hex()).into())
    }

    fn of_dir(name: &str) -> Option<Self> {
        let hex = name.strip_prefix("d-").or(name.strip_prefix("c-"))?;
        (hex.len() == 64).then(|| Self(name.into()))
    }
}

/// Chain ids of a stack, lowest first (OCI image specification, config.md, "Layer ChainID").
pub(crate) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(match chain.last() {
            None => diff_id.clone(),
            Some(below) => digest_of(format!("{below} {diff_id}").as_bytes()),
        });
    }
    chain
}

/// What is known about an unpacked layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerFacts {
    /// Bytes of its files.
    pub bytes: u64,
    /// Its entries.
    pub entries: u64,
    /// Directories that no entry describes, in hexadecimal since names may hold any byte.
    pub implied: Vec<String>,
}

/// All unpacked layers.
#[derive(Clone)]
pub(crate) struct Layers {
    layout: Layout,
    ledger: Ledger,
}

/// A layer that is being made. Dropping it removes it.
pub(crate) struct Draft {
    dir: PathBuf,
}

impl Draft {
    /// Where to unpack to.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join("fs")
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone after publishing; what cannot be removed now is removed at the next start.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Layers {
    pub(crate) fn new(layout: Layout, ledger: Ledger) -> Self {
        Self { layout, ledger }
    }

    /// Where all layers are, for errors.
    pub(crate) fn place(&self) -> PathBuf {
        self.layout.layers()
    }

    fn dir(&self, name: &LayerName) -> PathBuf {
        self.layout.layers().join(&*name.0)
    }

    /// The directory to mount.
    pub(crate) fn root(&self, name: &LayerName) -> PathBuf {
        self.dir(name).join("fs")
    }

    /// What to mount for an image without layers.
    pub(crate) fn empty_root(&self) -> PathBuf {
        self.layout.empty_layer()
    }

    /// Whether the layer is there; it is touched first (see `content::ledger`).
    pub(crate) fn has(&self, name: &LayerName) -> bool {
        self.ledger.touch(Item::Layer(name.clone()));
        self.dir(name).exists()
    }

    /// Facts of a layer, `None` when it is not there.
    pub(crate) fn facts(&self, name: &LayerName) -> Result<Option<LayerFacts>, Error> {
        self.ledger.touch(Item::Layer(name.clone()));
        let path = self.dir(name).join("layer.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        let facts = serde_json::from_slice(&bytes);
        facts.map(Some).map_err(|e| Error::io("read the facts in", &path, io::Error::other(e)))
    }

    /// Begins a layer.
    pub(crate) fn begin(&self) -> Result<Draft, Error> {
        let draft = Draft { dir: self.layout.draft() };
        let root = draft.root();
        crate::unpack::make_root(&root).map_err(|e| Error::io("make directory", &root, e))?;
        Ok(draft)
    }

    /// Makes a layer visible; its files are already durable. One that is there already is the same.
    pub(crate) fn publish(&self, draft: &Draft, name: &LayerName, facts: &LayerFacts) -> Result<(), Error> {
        if self.has(name) {
            return Ok(());
        }
        let bytes = serde_json::to_vec(facts).expect("numbers and texts are always JSON");
        let path = draft.dir.join("layer.json");
        durable::write(&path, &draft.dir.join("layer.json.draft"), &bytes)?;
        durable::sync_parent(&draft.dir)?;
        durable::place(&draft.dir, &self.dir(name))
    }

    /// Every layer on disk, with its directory.
    pub(crate) fn list(&self) -> Result<Vec<(LayerName, PathBuf)>, Error> {
        let dir = self.layout.layers();
        let failed = |e| Error::io("list", &dir, e);
        let mut layers = Vec::new();
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(name) = entry.file_name().to_str().and_then(LayerName::of_dir) {
                layers.push((name, entry.path()));
            }
        }
        Ok(layers)
    }

    /// The layers of a stack, lowest first; `None` when one is missing. A layer that was unpacked for this very stack
    /// comes before the one that is shared.
    pub(crate) fn stack(&self, diff_ids: &[Digest]) -> Option<Vec<LayerName>> {
        let mut names = Vec::with_capacity(diff_ids.len());
        for (diff_id, chain_id) in diff_ids.iter().zip(chain_ids(diff_ids)) {
            let candidates = [LayerName::chained(&chain_id), LayerName::shared(diff_id)];
            names.push(candidates.into_iter().find(|name| self.has(name))?);
        }
        Some(names)
    }

    /// What to mount for layers that are named lowest first.
    pub(crate) fn mount_order(&self, names: &[LayerName]) -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> = Vec::with_capacity(names.len());
        for name in names.iter().rev() {
            let root = self.root(name);
            // overlayfs refuses a directory that is there twice. The lower one may go: all that it says, the upper one
            // says again, and above whatever lies between them.
            if !dirs.contains(&root) {
                dirs.push(root);
            }
        }
        if dirs.is_empty() {
            dirs.push(self.empty_root());
        }
        dirs
    }

    /// Moves a layer out of sight, to be removed at leisure.
    pub(crate) fn retire(&self, dir: &Path) -> Result<PathBuf, Error> {
        let draft = self.layout.draft();
        fs::rename(dir, &draft).map_err(|e| Error::io("move away", dir, e))?;
        Ok(draft)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ids_follow_the_specification() {
        let (a, b) = (Digest::from_sha256(&[1; 32]), Digest::from_sha256(&[2; 32]));
        let chain = chain_ids(&[a.clone(), b.clone()]);
        assert_eq!(chain[0], a);
        assert_eq!(chain[1], digest_of(format!("{a} {b}").as_bytes()));
        assert!(chain_ids(&[]).is_empty());
    }

    #[test]
    fn a_layer_that_is_there_twice_is_mounted_once_at_its_upper_place() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let layers = Layers::new(Layout::open(dir.path()).expect("a layout"), Ledger::default());
        let name = |fill| LayerName::shared(&Digest::from_sha256(&[fill; 32]));
        let dirs = layers.mount_order(&[name(1), name(2), name(1)]);
        assert_eq!(dirs, [layers.root(&name(1)), layers.root(&name(2))]);
        assert_eq!(layers.mount_order(&[]), [layers.empty_root()]);
    }
}
