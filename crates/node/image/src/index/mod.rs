//! A layer's blob becomes a plain tar and an index of what is in it. Owns the reading of tar streams and what an entry
//! may be. Must not know images, registries, where layers are kept, or how they are put together. All of it blocks; run
//! it on a thread of its own.

mod archive;
mod budget;
mod compression;
mod error;
mod indexer;
mod list;
mod path;
mod pax;
mod sparse;
mod stream;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use types::Digest;

use self::archive::Archive;
use self::indexer::Indexer;

pub(crate) use self::budget::Budget;
pub use self::compression::Compression;
pub use self::error::LayerError;
pub(crate) use self::list::{Entries, Weight};
pub(crate) use self::stream::STREAM_BYTES;

/// One layer to index.
pub(crate) struct Job<R> {
    /// Its blob, as the registry has it. Read to its end, unless the work is cancelled or a limit is reached.
    pub compressed: R,
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
    /// Bytes of all names, link targets and extended attributes.
    pub text_bytes_max: u64,
    /// Largest window of a zstd stream, as a power of two.
    pub zstd_window_bits: u32,
}

/// Where a layer goes: files that do not exist yet.
pub(crate) struct Files<'a> {
    /// The uncompressed tar.
    pub tar: &'a Path,
    /// The sparse files in it, if there are any.
    pub sparse: &'a Path,
    /// The list of its entries.
    pub list: &'a Path,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Indexed {
    /// Digest of the uncompressed stream.
    pub diff_id: Digest,
    /// Its length.
    pub tar_bytes: u64,
    /// Length of the file with the sparse files; 0 when there is none.
    pub sparse_bytes: u64,
    /// Bytes of the files in it.
    pub bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// What putting it on other layers takes.
    pub weight: Weight,
}

/// Indexes a layer; what it becomes is durable on return. On an error they hold a part, for the caller to remove, and the budget has all back.
pub(crate) fn index<R: Read + Send>(job: Job<R>, files: &Files<'_>) -> Result<Indexed, LayerError> {
    let file = File::create_new(files.tar).map_err(|e| LayerError::write("make", b"the layer's tar", e))?;
    let (decoder, stream) = stream::stream(Some(file), &job.limits, job.cancel.clone());
    let mut indexer = Indexer::new(files, job.budget.clone(), job.limits.clone())?;
    let archive = Archive::new(stream, job.limits.extension_bytes_max);
    let (decoded, read) = thread::scope(|scope| {
        let decoding = thread::Builder::new().name("layer-decode".into());
        let decoding = decoding.spawn_scoped(scope, move || decoder.run(job.compressed));
        let decoding = decoding.map_err(|e| LayerError::write("start a thread for", b"the layer", e))?;
        let read = read_all(archive, &mut indexer);
        if matches!(read, Err(LayerError::TooLarge { .. } | LayerError::Write { .. })) {
            // The rest would be read for its digest alone, which does not matter any more.
            job.cancel.store(true, Ordering::Relaxed);
        }
        let decoded = decoding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((decoded, read))
    })?;
    let finished = match (decoded, read) {
        // A stream that breaks off also ends within an entry; the break is the cause.
        (Err(error @ LayerError::Read { .. }), Ok(_) | Err(LayerError::Archive { .. })) => Err(error),
        (_, read) => read.and_then(|end| indexer.finish().map(|made| (end, made))),
    };
    match finished {
        Ok(((diff_id, tar_bytes), (sparse_bytes, weight))) => {
            let (bytes, entries) = (indexer.bytes, indexer.taken);
            Ok(Indexed { diff_id, tar_bytes, sparse_bytes, bytes, entries, weight })
        }
        Err(error) => {
            job.budget.give_back(indexer.bytes, indexer.taken);
            Err(error)
        }
    }
}

fn read_all(mut archive: Archive, indexer: &mut Indexer) -> Result<(Digest, u64), LayerError> {
    while let Some(entry) = archive.next()? {
        indexer.add(entry, &mut archive)?;
    }
    archive.finish()
}

/// Reads a layer's entries without keeping them, within small bounds: what fuzzing exercises.
#[cfg(feature = "fuzzing")]
pub(crate) fn list(compressed: &[u8]) -> Result<usize, LayerError> {
    const STREAM_BYTES_MAX: u64 = 1 << 20;
    const EXTENSION_BYTES_MAX: u64 = 64 << 10;
    let limits = Limits {
        stream_bytes_max: STREAM_BYTES_MAX,
        extension_bytes_max: EXTENSION_BYTES_MAX,
        path_len_max: 4095,
        text_bytes_max: STREAM_BYTES_MAX,
        zstd_window_bits: 20,
    };
    let (decoder, stream) = stream::stream(None, &limits, Arc::default());
    let mut archive = Archive::new(stream, EXTENSION_BYTES_MAX);
    thread::scope(|scope| {
        scope.spawn(move || decoder.run(compressed));
        let mut entries = 0;
        while let Some(entry) = archive.next()? {
            if let Ok(path) = path::EntryPath::parse(&entry.path, 4095) {
                let _ = path::place(path);
            }
            entries += 1;
        }
        Ok(entries)
    })
}

/// Reads the records of one PAX header, which may be refused: what fuzzing exercises.
#[cfg(feature = "fuzzing")]
pub(crate) fn pax_records(bytes: &[u8]) {
    let _ = pax::Extensions::default().add_pax(bytes);
}
