//! Layers and root file systems on disk, found and made by name; `layer_name` draws them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use layer_index::{Entries, Weight};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use types::Digest;

use crate::Error;
use crate::durable;
use crate::gc_roots::{GcRoots, Item};
use crate::layer_name::{FACTS, INDEX, LayerFacts, LayerName, METADATA, ROOT, SPARSE, TAR};
use crate::layout::Layout;
use crate::verify::{Verified, Verifier};

/// Bytes of a file that are hashed at once.
const BUFFER_BYTES: usize = 256 << 10;

/// A layer as it was found.
pub struct Layer {
    /// What is known of it.
    pub facts: LayerFacts,
    path: PathBuf,
    list: Vec<u8>,
}

impl Layer {
    /// Its entries, from the first.
    pub fn entries(&self) -> impl Iterator<Item = Result<erofs::Entry, Error>> {
        let failed = |e| Error::io("read the index in", &self.path, io::Error::other(e));
        Entries::of(&self.list).map(move |entry| entry.map_err(failed))
    }
}

/// All of them.
#[derive(Clone)]
pub struct Layers {
    layout: Layout,
    gc_roots: GcRoots,
    verifier: Verifier,
}

/// Something that is being made. Dropping it removes it.
pub struct Draft {
    dir: PathBuf,
}

impl Draft {
    /// Where the uncompressed tar goes.
    pub fn tar(&self) -> PathBuf {
        self.dir.join(TAR)
    }

    /// Where sparse files go.
    pub fn sparse(&self) -> PathBuf {
        self.dir.join(SPARSE)
    }

    /// Where the list of entries goes.
    pub fn list(&self) -> PathBuf {
        self.dir.join(INDEX)
    }

    /// Where the EROFS image goes.
    pub fn metadata(&self) -> PathBuf {
        self.dir.join(METADATA)
    }

    /// Where plain files go.
    pub fn root(&self) -> PathBuf {
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

impl Layers {
    /// Those of one store.
    pub fn new(layout: Layout, gc_roots: GcRoots, verifier: Verifier) -> Self {
        Self { layout, gc_roots, verifier }
    }

    /// Verifies one that is about to be used, unless that was done lately; it is touched. Blocks.
    /// False when it is not there, or was damaged and is there no more.
    pub fn is_intact(&self, name: &LayerName) -> Result<bool, Error> {
        let item = Item::Layer(name.clone());
        self.gc_roots.touch(item.clone());
        Ok(matches!(self.verifier.verify(&item)?, Verified::Intact))
    }

    /// What verifies them, and sets damage aside.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Where all of them are, for errors.
    pub fn place(&self) -> PathBuf {
        self.layout.layers()
    }

    fn dir(&self, name: &LayerName) -> PathBuf {
        self.layout.layers().join(name.as_str())
    }

    /// The EROFS image of a root file system.
    pub fn metadata(&self, name: &LayerName) -> PathBuf {
        self.dir(name).join(METADATA)
    }

    /// The directory of a root file system of plain files.
    pub fn root(&self, name: &LayerName) -> PathBuf {
        self.dir(name).join(ROOT)
    }

    /// A device that [`RootfsFacts`] names.
    pub fn device(&self, name: &str) -> PathBuf {
        self.layout.layers().join(name)
    }

    /// The name that [`RootfsFacts`] has for a layer's tar, or for its sparse files.
    pub fn device_name(name: &LayerName, sparse: bool) -> String {
        format!("{}/{}", name.as_str(), if sparse { SPARSE } else { TAR })
    }

    /// Facts of a layer or a root file system, `None` when it is not there; it is touched first
    /// (see `gc_roots`).
    pub fn facts<F: DeserializeOwned>(&self, name: &LayerName) -> Result<Option<F>, Error> {
        self.gc_roots.touch(Item::Layer(name.clone()));
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
    pub fn exists(&self, name: &LayerName) -> bool {
        self.dir(name).exists()
    }

    /// The size of a blob that was found to hold a layer; `None` when it never was.
    pub fn source_bytes(&self, name: &LayerName, blob: &Digest) -> Result<Option<u64>, Error> {
        let path = self.dir(name).join(source_name(blob));
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path, error)),
        }
    }

    /// Remembers that a blob of so many bytes holds a layer, which is there. Not synced: what a
    /// power cut takes away, or leaves empty, is found out again.
    pub fn add_source(&self, name: &LayerName, blob: &Digest, bytes: u64) -> Result<(), Error> {
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
    pub fn read(&self, name: &LayerName) -> Result<Option<Layer>, Error> {
        let Some(facts) = self.facts(name)? else { return Ok(None) };
        let path = self.dir(name).join(INDEX);
        let list = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        Ok(Some(Layer { facts, path, list }))
    }

    /// What putting a layer on others takes, and bytes of the list of its entries; `None` when it
    /// is not there.
    pub fn weight(&self, name: &LayerName) -> Result<Option<(Weight, u64)>, Error> {
        let Some(facts) = self.facts::<LayerFacts>(name)? else { return Ok(None) };
        let path = self.dir(name).join(INDEX);
        let list_bytes = fs::metadata(&path).map_err(|e| Error::io("look at", &path, e))?.len();
        Ok(Some((facts.weight.unwrap_or_else(|| Weight::guess(facts.entries, list_bytes)), list_bytes)))
    }

    /// Begins something.
    pub fn begin(&self) -> Result<Draft, Error> {
        let draft = Draft { dir: self.layout.draft() };
        fs::create_dir(&draft.dir).map_err(|e| Error::io("make directory", &draft.dir, e))?;
        Ok(draft)
    }

    /// Makes a layer visible, whose files are already durable, with the digests of those that no
    /// digest names.
    pub fn publish_layer(&self, draft: &Draft, name: &LayerName, facts: &LayerFacts) -> Result<(), Error> {
        let sparse_digest = if facts.sparse_bytes > 0 { Some(digest_of_file(&draft.sparse())?) } else { None };
        let index_digest = Some(digest_of_file(&draft.list())?);
        self.publish(draft, name, &LayerFacts { sparse_digest, index_digest, ..facts.clone() })
    }

    /// Makes a draft visible, whose files are already durable. One that is there already is the
    /// same.
    pub fn publish(&self, draft: &Draft, name: &LayerName, facts: &impl Serialize) -> Result<(), Error> {
        self.gc_roots.touch(Item::Layer(name.clone()));
        if self.dir(name).exists() {
            return Ok(());
        }
        let bytes = serde_json::to_vec(facts).expect("numbers and texts are always JSON");
        durable::write(&draft.dir.join(FACTS), &draft.dir.join("facts.draft"), &bytes)?;
        match durable::place(&draft.dir, &self.dir(name)) {
            // Somebody else was faster, with the same.
            Err(_) if self.dir(name).exists() => Ok(()),
            placed => placed.map(|()| self.verifier.wrote(&Item::Layer(name.clone()))),
        }
    }

    /// Every one on disk, with its directory.
    pub fn list(&self) -> Result<Vec<(LayerName, PathBuf)>, Error> {
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
    pub fn retire(&self, dir: &Path) -> Result<PathBuf, Error> {
        let draft = self.layout.draft();
        fs::rename(dir, &draft).map_err(|e| Error::io("move away", dir, e))?;
        Ok(draft)
    }
}
