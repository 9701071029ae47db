//! Layers and root file systems on disk, by name. Must not know how they are made or mounted.
//!
//! ```text
//! layers/t-<64 hex digits>/     a layer by its diff id, shared by all images that have it
//!   layer.tar                   its uncompressed tar, as it is
//!   sparse                      its files with holes, one after another; missing when there are none
//!   index                       its entries, and where in the two files their bytes are
//!   facts.json                  see `LayerFacts`
//!   from-<64 hex digits>        a blob that was found to hold it; its size in decimal
//! layers/e2-<64 hex digits>/    a root file system by the chain id of its topmost layer
//!   metadata.erofs              an EROFS image whose devices are the files of the layers
//!   facts.json                  see `RootfsFacts`
//! layers/f2-<64 hex digits>/    the same as plain files, where the kernel has no EROFS
//!   fs/                         the root
//!   facts.json
//! ```
//!
//! The number in a root file system's name is that of the rules by which it is made of its layers (decision 28); it
//! changes with them. Those of other numbers are collected. Without a number: owners are not folded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layer_index::{Entries, Weight};
use oci::chain_id;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use types::Digest;

use crate::Error;
use crate::content::durable;
use crate::content::layout::Layout;
use crate::content::ledger::{Item, Ledger};
use crate::sound::{Soundness, Verified};

/// Bytes of a file that are hashed at once.
const BUFFER_BYTES: usize = 256 << 10;

/// What names of root file systems begin with.
const EROFS: &str = "e2-";
const FILES: &str = "f2-";

/// Name of a directory below `layers`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LayerName(Arc<str>);

impl LayerName {
    /// A layer.
    pub(crate) fn tar(diff_id: &Digest) -> Self {
        Self(format!("t-{}", diff_id.hex()).into())
    }

    /// A stack of layers as EROFS.
    pub(crate) fn erofs(stack: &[Digest]) -> Self {
        Self(format!("{EROFS}{}", chain_id(stack).hex()).into())
    }

    /// A stack of layers as files.
    pub(crate) fn files(stack: &[Digest]) -> Self {
        Self(format!("{FILES}{}", chain_id(stack).hex()).into())
    }

    /// A stack of layers as files, from before owners were folded.
    pub(crate) fn unfolded_files(stack: &[Digest]) -> Self {
        Self(format!("f-{}", chain_id(stack).hex()).into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest of a layer's tar; `None` for a root file system.
    pub(crate) fn diff_id(&self) -> Option<Digest> {
        format!("sha256:{}", self.0.strip_prefix("t-")?).parse().ok()
    }

    /// Whether it is a root file system that is mounted as EROFS.
    pub(crate) fn is_erofs(&self) -> bool {
        self.0.starts_with('e')
    }

    /// Whether it is a root file system, of whatever kind, of this stack.
    pub(crate) fn is_of_stack(&self, stack: &[Digest]) -> bool {
        self.diff_id().is_none() && self.0.ends_with(chain_id(stack).hex())
    }

    /// Of this version or another one, so that what those left is collected.
    fn of_dir(name: &str) -> Option<Self> {
        let (prefix, hex) = name.split_once('-')?;
        let number = prefix.strip_prefix(['t', 'e', 'f'])?;
        let ours = number.bytes().all(|b| b.is_ascii_digit()) && hex.len() == 64;
        ours.then(|| Self(name.into()))
    }
}

/// What is known about a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerFacts {
    /// Bytes of its files.
    pub bytes: u64,
    /// Its entries.
    pub entries: u64,
    /// Length of its tar.
    pub tar_bytes: u64,
    /// Length of its file of sparse files; 0 when there is none.
    pub sparse_bytes: u64,
    /// What putting it on other layers takes; none of layers from before that was kept.
    #[serde(default)]
    pub weight: Option<Weight>,
    /// Of that file; missing in layers of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sparse_digest: Option<Digest>,
    /// Of its index; missing in layers of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_digest: Option<Digest>,
}

/// What is known about a root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RootfsFacts {
    /// Files that hold its data, in the order of its device table, as paths below `layers`; none for plain files.
    pub devices: Vec<String>,
    /// Of `metadata.erofs`; missing in those of earlier versions, and for plain files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_digest: Option<Digest>,
}

/// A layer as it was found.
pub(crate) struct Layer {
    pub facts: LayerFacts,
    path: PathBuf,
    list: Vec<u8>,
}

impl Layer {
    /// Its entries, from the first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<erofs::Entry, Error>> {
        let failed = |e| Error::io("read the index in", &self.path, io::Error::other(e));
        Entries::of(&self.list).map(move |entry| entry.map_err(failed))
    }
}

/// All of them.
#[derive(Clone)]
pub(crate) struct Layers {
    layout: Layout,
    ledger: Ledger,
    soundness: Soundness,
}

/// Something that is being made. Dropping it removes it.
pub(crate) struct Draft {
    dir: PathBuf,
}

impl Draft {
    /// Where the uncompressed tar goes.
    pub(crate) fn tar(&self) -> PathBuf {
        self.dir.join(TAR)
    }

    /// Where sparse files go.
    pub(crate) fn sparse(&self) -> PathBuf {
        self.dir.join(SPARSE)
    }

    /// Where the list of entries goes.
    pub(crate) fn list(&self) -> PathBuf {
        self.dir.join(INDEX)
    }

    /// Where the EROFS image goes.
    pub(crate) fn metadata(&self) -> PathBuf {
        self.dir.join(METADATA)
    }

    /// Where plain files go.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join(ROOT)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Gone after publishing; what cannot be removed now is removed at the next start.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The digest of a file that has just been written.
fn digest_of_file(path: &Path) -> Result<Digest, Error> {
    let failed = |e| Error::io("read", path, e);
    let (mut file, mut hash) = (fs::File::open(path).map_err(failed)?, Sha256::new());
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match io::Read::read(&mut file, &mut buffer).map_err(failed)? {
            0 => return Ok(Digest::from_sha256(&hash.finalize().into())),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn source_name(blob: &Digest) -> String {
    format!("from-{}", blob.hex())
}

pub(crate) const TAR: &str = "layer.tar";
pub(crate) const SPARSE: &str = "sparse";
pub(crate) const INDEX: &str = "index";
pub(crate) const METADATA: &str = "metadata.erofs";
const ROOT: &str = "fs";
pub(crate) const FACTS: &str = "facts.json";

impl Layers {
    pub(crate) fn new(layout: Layout, ledger: Ledger, soundness: Soundness) -> Self {
        Self { layout, ledger, soundness }
    }

    /// Verifies one that is about to be used, unless that was done lately; it is touched. Blocks. False when it is not
    /// there, or was damaged and is there no more.
    pub(crate) fn is_sound(&self, name: &LayerName) -> Result<bool, Error> {
        let item = Item::Layer(name.clone());
        self.ledger.touch(item.clone());
        Ok(matches!(self.soundness.verify(&item)?, Verified::Sound))
    }

    pub(crate) fn soundness(&self) -> &Soundness {
        &self.soundness
    }

    /// Where all of them are, for errors.
    pub(crate) fn place(&self) -> PathBuf {
        self.layout.layers()
    }

    fn dir(&self, name: &LayerName) -> PathBuf {
        self.layout.layers().join(&*name.0)
    }

    /// The EROFS image of a root file system.
    pub(crate) fn metadata(&self, name: &LayerName) -> PathBuf {
        self.dir(name).join(METADATA)
    }

    /// The directory of a root file system of plain files.
    pub(crate) fn root(&self, name: &LayerName) -> PathBuf {
        self.dir(name).join(ROOT)
    }

    /// A device that [`RootfsFacts`] names.
    pub(crate) fn device(&self, name: &str) -> PathBuf {
        self.layout.layers().join(name)
    }

    /// The name that [`RootfsFacts`] has for a layer's tar, or for its sparse files.
    pub(crate) fn device_name(name: &LayerName, sparse: bool) -> String {
        format!("{}/{}", name.0, if sparse { SPARSE } else { TAR })
    }

    /// Facts of a layer or a root file system, `None` when it is not there; it is touched first (see
    /// `content::ledger`).
    pub(crate) fn facts<F: DeserializeOwned>(&self, name: &LayerName) -> Result<Option<F>, Error> {
        self.ledger.touch(Item::Layer(name.clone()));
        let path = self.dir(name).join(FACTS);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path, error)),
        };
        let facts = serde_json::from_slice(&bytes);
        facts.map(Some).map_err(|e| Error::io("read the facts in", &path, io::Error::other(e)))
    }

    /// Whether it is there, for those who do not need it.
    pub(crate) fn exists(&self, name: &LayerName) -> bool {
        self.dir(name).exists()
    }

    /// The size of a blob that was found to hold a layer; `None` when it never was.
    pub(crate) fn source_bytes(&self, name: &LayerName, blob: &Digest) -> Result<Option<u64>, Error> {
        let path = self.dir(name).join(source_name(blob));
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path, error)),
        }
    }

    /// Remembers that a blob of so many bytes holds a layer, which is there. Not synced: what a power cut takes away, or
    /// leaves empty, is found out again.
    pub(crate) fn add_source(&self, name: &LayerName, blob: &Digest, bytes: u64) -> Result<(), Error> {
        if self.source_bytes(name, blob)?.is_some() {
            return Ok(());
        }
        let path = self.dir(name).join(source_name(blob));
        // Two may do this at once.
        let draft = self.dir(name).join(format!("source-{}.draft", uuid::Uuid::new_v4().as_simple()));
        let written = fs::write(&draft, bytes.to_string()).and_then(|()| fs::rename(&draft, &path));
        written.map_err(|e| Error::io("write", &path, e))
    }

    /// A layer with its entries, `None` when it is not there.
    pub(crate) fn read(&self, name: &LayerName) -> Result<Option<Layer>, Error> {
        let Some(facts) = self.facts(name)? else { return Ok(None) };
        let path = self.dir(name).join(INDEX);
        let list = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        Ok(Some(Layer { facts, path, list }))
    }

    /// What putting a layer on others takes, and bytes of the list of its entries; `None` when it is not there.
    pub(crate) fn weight(&self, name: &LayerName) -> Result<Option<(Weight, u64)>, Error> {
        let Some(facts) = self.facts::<LayerFacts>(name)? else { return Ok(None) };
        let path = self.dir(name).join(INDEX);
        let list_bytes = fs::metadata(&path).map_err(|e| Error::io("look at", &path, e))?.len();
        Ok(Some((facts.weight.unwrap_or_else(|| Weight::guess(facts.entries, list_bytes)), list_bytes)))
    }

    /// Begins something.
    pub(crate) fn begin(&self) -> Result<Draft, Error> {
        let draft = Draft { dir: self.layout.draft() };
        fs::create_dir(&draft.dir).map_err(|e| Error::io("make directory", &draft.dir, e))?;
        Ok(draft)
    }

    /// Makes a layer visible, whose files are already durable, with the digests of those that no digest names.
    pub(crate) fn publish_layer(&self, draft: &Draft, name: &LayerName, facts: &LayerFacts) -> Result<(), Error> {
        let sparse_digest = if facts.sparse_bytes > 0 { Some(digest_of_file(&draft.sparse())?) } else { None };
        let index_digest = Some(digest_of_file(&draft.list())?);
        self.publish(draft, name, &LayerFacts { sparse_digest, index_digest, ..facts.clone() })
    }

    /// Makes a draft visible, whose files are already durable. One that is there already is the same.
    pub(crate) fn publish(&self, draft: &Draft, name: &LayerName, facts: &impl Serialize) -> Result<(), Error> {
        self.ledger.touch(Item::Layer(name.clone()));
        if self.dir(name).exists() {
            return Ok(());
        }
        let bytes = serde_json::to_vec(facts).expect("numbers and texts are always JSON");
        durable::write(&draft.dir.join(FACTS), &draft.dir.join("facts.draft"), &bytes)?;
        match durable::place(&draft.dir, &self.dir(name)) {
            // Somebody else was faster, with the same.
            Err(_) if self.dir(name).exists() => Ok(()),
            placed => placed.map(|()| self.soundness.wrote(&Item::Layer(name.clone()))),
        }
    }

    /// Every one on disk, with its directory.
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

    /// Moves one out of sight, to be removed at leisure.
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
    fn a_stack_is_named_by_its_chain_id_and_its_kind() {
        let a = Digest::from_sha256(&[1; 32]);
        let alone = std::slice::from_ref(&a);
        assert_ne!(LayerName::erofs(alone), LayerName::files(alone));
        assert_ne!(LayerName::erofs(alone), LayerName::tar(&a));
    }

    #[test]
    fn directories_of_every_version_are_known() {
        let hex = "a".repeat(64);
        for known in ["t", "e", "f", "e2", "f2", "e13"] {
            assert!(LayerName::of_dir(&format!("{known}-{hex}")).is_some(), "{known}");
        }
        for other in ["x", "ex", "e2x", ""] {
            assert!(LayerName::of_dir(&format!("{other}-{hex}")).is_none(), "{other}");
        }
        assert!(LayerName::of_dir("e2-aa").is_none());
    }
}
