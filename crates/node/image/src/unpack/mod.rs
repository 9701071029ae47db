//! A layer's blob becomes a directory. Owns the reading of tar streams and the rules of whiteouts, links and paths.
//! Must not know images, registries, or where layers are kept. All of it blocks; run it on a thread of its own.
//!
//! A layer is unpacked by itself wherever possible, so that images share it. Two things in it depend on the layers
//! below: a hard link to a file that only they have, and the owner and mode of a directory that no entry describes. For
//! these it is unpacked again with the lower layers at hand (`lowers`), for that one stack.

mod archive;
mod budget;
mod error;
mod lower;
mod path;
mod pax;
mod source;
mod sparse;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use types::Digest;

use self::archive::Archive;
use self::lower::Lowers;
use self::path::EntryPath;
use self::source::Source;
use self::tree::{Metadata, Tree};
use self::writer::Writer;

pub(crate) use self::budget::Budget;
pub use self::error::LayerError;

/// One layer to unpack.
pub(crate) struct Job<R> {
    /// Its blob, as the registry has it.
    pub compressed: R,
    /// The digest that its uncompressed bytes must have.
    pub diff_id: Digest,
    /// An empty directory.
    pub into: PathBuf,
    /// The layers below, topmost first; `None` to unpack it by itself.
    pub lowers: Option<Vec<PathBuf>>,
    pub limits: Limits,
    pub budget: Arc<Budget>,
    /// Ends the work when it becomes true.
    pub cancel: Arc<AtomicBool>,
}

/// Bounds of one layer.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub stream_bytes_max: u64,
    pub extension_bytes_max: u64,
    pub path_len_max: usize,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Bytes of the files.
    pub bytes: u64,
    /// Entries, with the directories that were made for them.
    pub entries: u64,
    /// Directories that no entry describes, as paths below the root; the root itself is the empty path.
    pub implied: Vec<Vec<u8>>,
}

/// Unpacks a layer and checks its digest. On an error the directory holds a part of it, for the caller to remove, and
/// the budget has all back.
pub(crate) fn unpack<R: Read + 'static>(job: Job<R>) -> Result<Unpacked, LayerError> {
    let opening = |e| LayerError::write("open directory", b".", e);
    let lowers = job.lowers.as_deref().map(Lowers::open).transpose().map_err(opening)?;
    let tree = Tree::open(&job.into).map_err(opening)?;
    let source = Source::open(job.compressed, job.limits.stream_bytes_max, job.cancel)?;
    let mut archive = Archive::new(source, job.limits.extension_bytes_max);
    let mut writer = Writer::new(tree, lowers.as_ref(), job.budget.clone(), job.limits.path_len_max);
    let written = write_all(&mut archive, &mut writer);
    let (bytes, entries) = (writer.bytes, writer.entries);
    let finished = written.and_then(|()| {
        let actual = archive.finish()?;
        if actual != job.diff_id {
            return Err(LayerError::DiffId { expected: job.diff_id, actual });
        }
        writer.finish()
    });
    match finished {
        Ok(implied) => {
            let implied = implied.into_iter().map(|path| path.as_bytes().to_vec()).collect();
            Ok(Unpacked { bytes, entries, implied })
        }
        Err(error) => {
            job.budget.give_back(bytes, entries);
            Err(error)
        }
    }
}

fn write_all(archive: &mut Archive, writer: &mut Writer<'_>) -> Result<(), LayerError> {
    while let Some(entry) = archive.next()? {
        writer.write(entry, archive)?;
    }
    Ok(())
}

/// Whether directories that no entry of a layer describes look otherwise in the layers below (topmost first), so that
/// the layer cannot be shared with other stacks.
pub(crate) fn depends_on(implied: &[Vec<u8>], lowers: &[PathBuf]) -> Result<bool, LayerError> {
    let lowers = Lowers::open(lowers).map_err(|e| LayerError::write("open directory", b".", e))?;
    for name in implied {
        // What was written down came from a clean path; the root is the empty one.
        let path = EntryPath::parse(name, usize::MAX).unwrap_or_default();
        let below = lowers.dir_metadata(&path).map_err(|e| LayerError::write("look below for", name, e))?;
        if below.is_some_and(|below| !below.same_but_time(&Metadata::plain_dir())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads a layer's entries without writing them, within small bounds: what fuzzing exercises.
#[cfg(feature = "fuzzing")]
pub(crate) fn list(compressed: Vec<u8>) -> Result<usize, LayerError> {
    const STREAM_BYTES_MAX: u64 = 1 << 20;
    const EXTENSION_BYTES_MAX: u64 = 64 << 10;
    let source = Source::open(std::io::Cursor::new(compressed), STREAM_BYTES_MAX, Arc::default())?;
    let mut archive = Archive::new(source, EXTENSION_BYTES_MAX);
    let mut entries = 0;
    while let Some(entry) = archive.next()? {
        if let Ok(path) = EntryPath::parse(&entry.path, 4095) {
            let _ = path::place(path);
        }
        entries += 1;
    }
    Ok(entries)
}

/// Makes an empty directory to unpack into.
pub(crate) fn make_root(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}
