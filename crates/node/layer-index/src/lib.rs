//! Converts a layer's blob to a plain tar and an index: [`index`] reads a tar stream, compressed or
//! not, as it arrives, and writes three files.
//!
//! Owns the rules for entries of a layer. Every function blocks; run them on a thread of their own.
#![forbid(unsafe_code)]

mod archive;
mod budget;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gzip;
mod indexer;
mod list;
mod path;
mod pax;
mod sparse;
mod stream;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use types::Digest;

use self::archive::Archive;
use self::indexer::Indexer;
use self::stream::Whole;

pub use self::budget::Budget;
pub use self::error::Error;
pub use self::list::{Entries, Weight};
pub use self::stream::STREAM_BYTES;

/// One layer to index.
pub struct Job<R> {
    /// Its blob, as in the registry. Read to its end, unless the work is cancelled or a limit is
    /// reached.
    pub compressed: R,
    /// Its limits.
    pub limits: Limits,
    /// Remaining budget of the image, over all its layers.
    pub budget: Arc<Budget>,
    /// Cancels the work when it becomes true.
    pub cancel: Arc<AtomicBool>,
}

/// Limits of one layer.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of the uncompressed stream.
    pub stream_bytes_max: u64,
    /// Bytes of the extension headers of one entry.
    pub extension_bytes_max: u64,
    /// Bytes of a path, and of the target of a link.
    pub path_len_max: usize,
    /// Bytes of all names, link targets and extended attributes.
    pub text_bytes_max: u64,
    /// Largest window of a zstd stream, as a power of two.
    pub zstd_window_bits: u32,
}

/// Paths of the files to create.
pub struct Files<'a> {
    /// The uncompressed tar.
    pub tar: &'a Path,
    /// The sparse files in it, if there are any.
    pub sparse: &'a Path,
    /// The list of its entries.
    pub list: &'a Path,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// Digest of the uncompressed stream.
    pub diff_id: Digest,
    /// Length of its tar: that of the stream, padded with zeros to a whole block.
    pub tar_bytes: u64,
    /// Digest of its tar, if that is padded and thus differs from the stream.
    pub tar_digest: Option<Digest>,
    /// Length of the file of sparse files; 0 if there is none.
    pub sparse_bytes: u64,
    /// Bytes of the files in it.
    pub bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// Cost of merging it with other layers.
    pub weight: Weight,
}

/// Indexes a layer; its files are durable on return.
///
/// # Errors
/// All kinds. The caller must remove the partial files then; everything is returned to the budget.
pub fn index<R: Read + Send>(job: Job<R>, files: &Files<'_>) -> Result<Indexed, Error> {
    let file = File::create_new(files.tar).map_err(|e| Error::write("make", b"the layer's tar", e))?;
    let (decoder, stream) = stream::stream(Some(file), &job.limits, job.cancel.clone());
    let mut indexer = Indexer::new(files, job.budget.clone(), job.limits.clone())?;
    let archive = Archive::new(stream, job.limits.extension_bytes_max);
    let (decoded, read) = thread::scope(|scope| {
        let decoding = thread::Builder::new().name("layer-decode".into());
        let decoding = decoding.spawn_scoped(scope, move || decoder.run(job.compressed));
        let decoding = decoding.map_err(|e| Error::write("start a thread for", b"the layer", e))?;
        let read = read_all(archive, &mut indexer);
        if matches!(read, Err(Error::TooLarge { .. } | Error::Write { .. })) {
            // The rest would be read for its digest alone, which no longer matters.
            job.cancel.store(true, Ordering::Relaxed);
        }
        let decoded = decoding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((decoded, read))
    })?;
    let finished = match (decoded, read) {
        // A truncated stream also ends within an entry; the read error is the cause.
        (Err(error @ Error::Read { .. }), Ok(_) | Err(Error::Archive { .. })) => Err(error),
        (_, read) => read.and_then(|end| indexer.finish().map(|made| (end, made))),
    };
    match finished {
        Ok((Whole { digest: diff_id, copy_bytes: tar_bytes, padded_digest: tar_digest }, (sparse_bytes, weight))) => {
            let (bytes, entries) = (indexer.bytes, indexer.taken);
            Ok(Indexed { diff_id, tar_bytes, tar_digest, sparse_bytes, bytes, entries, weight })
        }
        Err(error) => {
            job.budget.give_back(indexer.bytes, indexer.taken);
            Err(error)
        }
    }
}

fn read_all(mut archive: Archive, indexer: &mut Indexer) -> Result<Whole, Error> {
    while let Some(entry) = archive.next()? {
        indexer.add(entry, &mut archive)?;
    }
    archive.finish()
}
