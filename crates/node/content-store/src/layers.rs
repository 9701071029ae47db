//! Layers and root file systems on disk, looked up and created by name; `layer_name` draws their
//! layout.

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

/// Size of the buffer for hashing a file.
const BUFFER_BYTES: usize = 256 << 10;

/// A layer on disk.
pub struct Layer {
    /// Its facts.
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

/// The layers and root file systems of one store.
#[derive(Clone)]
pub struct Layers {
    layout: Layout,
    gc_roots: GcRoots,
    verifier: Verifier,
}

/// A layer or root file system under construction. Dropping it removes it.
pub struct Draft {
    dir: PathBuf,
}

impl Draft {
    /// Path of the uncompressed tar.
    pub fn tar(&self) -> PathBuf {
        self.dir.join(TAR)
    }

    /// Path of the file of sparse files.
    pub fn sparse(&self) -> PathBuf {
        self.dir.join(SPARSE)
    }

    /// Path of the index.
    pub fn list(&self) -> PathBuf {
        self.dir.join(INDEX)
    }

    /// Path of the EROFS image.
    pub fn metadata(&self) -> PathBuf {
        self.dir.join(METADATA)
    }

    /// Directory of plain files.
    pub fn root(&self) -> PathBuf {
        self.dir.join(ROOT)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Renamed by publishing; the next start removes a leftover.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The digest of a newly written file.
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
    /// The layers of one store.
    pub fn new(layout: Layout, gc_roots: GcRoots, verifier: Verifier) -> Self {
        Self { layout, gc_roots, verifier }
    }

    /// Verifies an item before its use, unless that was done recently; touches it. Blocks. False
    /// when it does not exist, or was damaged and is quarantined now.
    pub fn is_intact(&self, name: &LayerName) -> Result<bool, Error> {
        let item = Item::Layer(name.clone());
        self.gc_roots.touch(item.clone());
        Ok(matches!(self.verifier.verify(&item)?, Verified::Intact))
    }

    /// The verifier, which also quarantines damaged content.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The directory of all layers, for errors.
    pub fn place(&self) -> PathBuf {
        self.layout.layers()
    }

    fn dir(&self, name: &LayerName) -> PathBuf {
        self.layout.layers().join(name.as_str())
    }

    /// Path of the EROFS image of a root file system.
    pub fn metadata(&self, name: &LayerName) -> PathBuf {
        self.dir(name).join(METADATA)
    }

    /// The directory of a root file system of plain files.
    pub fn root(&self, name: &LayerName) -> PathBuf {
        self.dir(name).join(ROOT)
    }

    /// Path of a device of [`RootfsFacts`](crate::RootfsFacts).
    pub fn device(&self, name: &str) -> PathBuf {
        self.layout.layers().join(name)
    }

    /// The name of a layer's tar, or of its sparse files, in `RootfsFacts`.
    pub fn device_name(name: &LayerName, sparse: bool) -> String {
        format!("{}/{}", name.as_str(), if sparse { SPARSE } else { TAR })
    }

    /// Facts of a layer or a root file system, `None` when it does not exist; it is touched first
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

    /// Whether it exists, without touching it.
    pub fn exists(&self, name: &LayerName) -> bool {
        self.dir(name).exists()
    }

    /// The size of a blob that is known to hold a layer; `None` if it is not known to.
    pub fn source_bytes(&self, name: &LayerName, blob: &Digest) -> Result<Option<u64>, Error> {
        let path = self.dir(name).join(source_name(blob));
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path, error)),
        }
    }

    /// Records that a blob of this size holds an existing layer. Not synced: after a power failure
    /// a lost or empty record is determined again.
    pub fn add_source(&self, name: &LayerName, blob: &Digest, bytes: u64) -> Result<(), Error> {
        if self.source_bytes(name, blob)?.is_some() {
            return Ok(());
        }
        let path = self.dir(name).join(source_name(blob));
        // Two callers may do this concurrently.
        let draft = self.dir(name).join(format!("source-{}.draft", uuid::Uuid::new_v4().as_simple()));
        let written = fs::write(&draft, bytes.to_string()).and_then(|()| fs::rename(&draft, &path));
        written.map_err(|e| Error::io("write", &path, e))
    }

    /// A layer with its entries, `None` when it does not exist.
    pub fn read(&self, name: &LayerName) -> Result<Option<Layer>, Error> {
        let Some(facts) = self.facts(name)? else { return Ok(None) };
        let path = self.dir(name).join(INDEX);
        let list = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        Ok(Some(Layer { facts, path, list }))
    }

    /// Cost of merging a layer with others, and the length of its index; `None` when it does not
    /// exist.
    pub fn weight(&self, name: &LayerName) -> Result<Option<(Weight, u64)>, Error> {
        let Some(facts) = self.facts::<LayerFacts>(name)? else { return Ok(None) };
        let path = self.dir(name).join(INDEX);
        let list_bytes = fs::metadata(&path).map_err(|e| Error::io("look at", &path, e))?.len();
        Ok(Some((facts.weight.unwrap_or_else(|| Weight::guess(facts.entries, list_bytes)), list_bytes)))
    }

    /// Creates a draft.
    pub fn begin(&self) -> Result<Draft, Error> {
        let draft = Draft { dir: self.layout.draft() };
        fs::create_dir(&draft.dir).map_err(|e| Error::io("make directory", &draft.dir, e))?;
        Ok(draft)
    }

    /// Publishes a layer whose files are durable, with the digests of its files.
    pub fn publish_layer(&self, draft: &Draft, name: &LayerName, facts: &LayerFacts) -> Result<(), Error> {
        let sparse_digest = if facts.sparse_bytes > 0 { Some(digest_of_file(&draft.sparse())?) } else { None };
        let index_digest = Some(digest_of_file(&draft.list())?);
        self.publish(draft, name, &LayerFacts { sparse_digest, index_digest, ..facts.clone() })
    }

    /// Publishes a draft whose files are durable. An existing item of that name has the same
    /// content.
    pub fn publish(&self, draft: &Draft, name: &LayerName, facts: &impl Serialize) -> Result<(), Error> {
        self.gc_roots.touch(Item::Layer(name.clone()));
        if self.dir(name).exists() {
            return Ok(());
        }
        let bytes = serde_json::to_vec(facts).expect("numbers and texts are always JSON");
        durable::write(&draft.dir.join(FACTS), &draft.dir.join("facts.draft"), &bytes)?;
        match durable::place(&draft.dir, &self.dir(name)) {
            // A concurrent caller published the same.
            Err(_) if self.dir(name).exists() => Ok(()),
            placed => placed.map(|()| self.verifier.wrote(&Item::Layer(name.clone()))),
        }
    }

    /// Every item on disk, with its directory.
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

    /// Moves an item to the drafts, for removal later.
    pub fn retire(&self, dir: &Path) -> Result<PathBuf, Error> {
        let draft = self.layout.draft();
        fs::rename(dir, &draft).map_err(|e| Error::io("move away", dir, e))?;
        Ok(draft)
    }
}
