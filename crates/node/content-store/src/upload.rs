//! Uploads: bytes are written and hashed as they arrive, and become visible when they are complete
//! and have the expected digest.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use types::Digest;

use crate::durable;
use crate::gc_roots::{GcRoots, Item};
use crate::layout::Layout;
use crate::verify::Verifier;
use crate::{Error, blocking};

/// Bytes that are batched before threads write and hash them, so that small chunks do not cost a
/// thread each. An upload holds at most two batches in memory.
const BATCH_BYTES: usize = 1 << 20;

/// Bytes after which write-back of the unwritten part starts: little is left for the final sync.
const WRITE_BACK_BYTES: u64 = 8 << 20;

/// An upload. Dropping it removes its draft.
pub struct Upload {
    id: String,
    offset: u64,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    progress: Progress,
    place: Place,
}

enum Progress {
    Idle(Box<Sink>),
    Writing(JoinHandle<Result<Box<Sink>, Error>>),
    /// A write failed or was cancelled; nothing more can be appended.
    Broken,
}

struct Sink {
    draft: Draft,
    hash: Sha256,
}

/// The file that an upload is written to.
struct Draft {
    file: File,
    path: PathBuf,
    written: u64,
    /// Bytes whose write-back was started.
    handed_over: u64,
}

/// Target and draft of an upload; dropping it removes the draft.
struct Place {
    draft: PathBuf,
    layout: Layout,
    gc_roots: GcRoots,
    verifier: Verifier,
}

impl Drop for Place {
    fn drop(&mut self) {
        // After a commit the draft is gone; the next start removes a leftover.
        let _ = fs::remove_file(&self.draft);
    }
}

impl Draft {
    fn make(path: PathBuf) -> Result<Self, Error> {
        let file = File::create_new(&path).map_err(|e| Error::io("make", &path, e))?;
        Ok(Self { file, path, written: 0, handed_over: 0 })
    }

    fn append(&mut self, batch: &[Bytes]) -> Result<(), Error> {
        for bytes in batch {
            self.file.write_all(bytes).map_err(|e| Error::io("write", &self.path, e))?;
            self.written += bytes.len() as u64;
        }
        let waiting = self.written - self.handed_over;
        if waiting >= WRITE_BACK_BYTES {
            // Only an optimisation: the sync writes the rest and reports errors.
            let _ = sys::file::start_write_back(self.file.as_fd(), self.handed_over, waiting);
            self.handed_over = self.written;
        }
        Ok(())
    }
}

impl Sink {
    /// Writes and hashes a batch in parallel: both take about the same time.
    async fn append(self: Box<Self>, batch: Vec<Bytes>) -> Result<Box<Self>, Error> {
        let Self { mut draft, mut hash } = *self;
        let same = batch.clone();
        let writing = blocking::run("writing an upload", move || draft.append(&same).map(|()| draft));
        let hashing = blocking::run("hashing an upload", move || {
            batch.iter().for_each(|bytes| hash.update(bytes));
            Ok(hash)
        });
        let (draft, hash) = tokio::try_join!(writing, hashing)?;
        Ok(Box::new(Self { draft, hash }))
    }
}

impl Upload {
    pub(crate) async fn begin(layout: Layout, gc_roots: GcRoots, verifier: Verifier) -> Result<Self, Error> {
        let id = uuid::Uuid::new_v4().to_string();
        let path = layout.draft();
        let place = Place { draft: path.clone(), layout, gc_roots, verifier };
        let draft = blocking::run("beginning an upload", move || Draft::make(path)).await?;
        let sink = Box::new(Sink { draft, hash: Sha256::new() });
        Ok(Self { id, offset: 0, waiting: Vec::new(), waiting_bytes: 0, progress: Progress::Idle(sink), place })
    }

    /// A UUID, unique over all uploads.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Bytes received so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends bytes. They may be written later; this or `commit` returns an error of an earlier
    /// write. Waits when the disk is slower than the caller.
    ///
    /// # Errors
    /// `DiskFull` or `Io`; the upload cannot continue then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.offset += bytes.len() as u64;
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
        if self.waiting_bytes < BATCH_BYTES {
            return Ok(());
        }
        let sink = self.settle().await?;
        let batch = self.take_batch();
        self.progress = Progress::Writing(tokio::spawn(sink.append(batch)));
        Ok(())
    }

    fn take_batch(&mut self) -> Vec<Bytes> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Waits for the write in progress. Cancelling the wait leaves the upload unchanged.
    async fn settle(&mut self) -> Result<Box<Sink>, Error> {
        let result = match &mut self.progress {
            Progress::Idle(_) => None,
            Progress::Writing(task) => {
                Some(task.await.unwrap_or(Err(Error::Interrupted { operation: "writing an upload" })))
            }
            Progress::Broken => Some(Err(Error::Interrupted { operation: "an upload that failed before" })),
        };
        match (result, std::mem::replace(&mut self.progress, Progress::Broken)) {
            (Some(result), _) => result,
            (None, Progress::Idle(sink)) => Ok(sink),
            (None, _) => unreachable!("only an idle upload has no result to wait for"),
        }
    }

    /// Makes the content visible under its digest, durably; existing content is the same.
    ///
    /// # Errors
    /// `DigestMismatch` when it is not `expected`, `DiskFull`, `Io`. The draft is removed then.
    pub async fn commit(mut self, expected: Option<&Digest>) -> Result<Digest, Error> {
        let sink = self.settle().await?.append(self.take_batch()).await?;
        let expected = expected.cloned();
        blocking::run("keeping an upload", move || {
            let Sink { draft, hash } = *sink;
            let digest = Digest::from_sha256(&hash.finalize().into());
            if let Some(expected) = expected.filter(|e| *e != digest) {
                return Err(Error::DigestMismatch { expected, actual: digest });
            }
            draft.file.sync_all().map_err(|e| Error::io("sync", &draft.path, e))?;
            self.place.gc_roots.touch(Item::Blob(digest.clone()));
            durable::place(&draft.path, &self.place.layout.blob(&digest))?;
            self.place.verifier.wrote(&Item::Blob(digest.clone()));
            Ok(digest)
        })
        .await
    }
}
