//! Content on its way in: bytes go to disk and into the hash as they come, and become visible only when they are
//! complete and have the digest they should. Must not know where they come from.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use types::Digest;

use super::durable;
use super::layout::Layout;
use super::ledger::{Item, Ledger};
use crate::{Error, blocking};

/// Bytes that are gathered before a thread writes and hashes them, so that small chunks do not cost a thread each. At
/// most twice as many are in memory per upload.
const BATCH_BYTES: usize = 1 << 20;

/// One upload. Dropping it removes what was written.
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
    /// A write failed or was cut off; nothing can be appended any more.
    Broken,
}

struct Sink {
    file: File,
    draft: PathBuf,
    hash: Sha256,
}

/// Where an upload ends up, and what is removed if it does not.
struct Place {
    draft: PathBuf,
    layout: Layout,
    ledger: Ledger,
}

impl Drop for Place {
    fn drop(&mut self) {
        // After a commit there is nothing left; a failure is made good at the next start.
        let _ = fs::remove_file(&self.draft);
    }
}

impl Sink {
    fn append(mut self: Box<Self>, batch: Vec<Bytes>) -> Result<Box<Self>, Error> {
        for bytes in batch {
            self.file.write_all(&bytes).map_err(|e| Error::io("write", &self.draft, e))?;
            self.hash.update(&bytes);
        }
        Ok(self)
    }
}

impl Upload {
    pub(super) async fn begin(layout: Layout, ledger: Ledger) -> Result<Self, Error> {
        let id = uuid::Uuid::new_v4().to_string();
        let draft = layout.draft();
        let place = Place { draft: draft.clone(), layout, ledger };
        let sink = blocking::run("upload", move || {
            let file = File::create_new(&draft).map_err(|e| Error::io("make", &draft, e))?;
            Ok(Box::new(Sink { file, draft, hash: Sha256::new() }))
        })
        .await?;
        Ok(Self { id, offset: 0, waiting: Vec::new(), waiting_bytes: 0, progress: Progress::Idle(sink), place })
    }

    /// A UUID, unique over all uploads.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Bytes taken so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends bytes. They may be written later; an error of an earlier write is told here or by `commit`. Waits when
    /// the disk is slower than the caller.
    ///
    /// # Errors
    /// `DiskFull` or `Io`; the upload cannot go on then.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.offset += bytes.len() as u64;
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
        if self.waiting_bytes < BATCH_BYTES {
            return Ok(());
        }
        let sink = self.settle().await?;
        let batch = self.take_batch();
        self.progress = Progress::Writing(tokio::task::spawn_blocking(move || sink.append(batch)));
        Ok(())
    }

    fn take_batch(&mut self) -> Vec<Bytes> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Waits for the write in progress. Cut off while waiting, the upload is as it was.
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

    /// Makes the content visible under its digest, durably; content that is there already is the same.
    ///
    /// # Errors
    /// `DigestMismatch` when it is not `expected`, `DiskFull`, `Io`. Nothing is left behind then.
    pub async fn commit(mut self, expected: Option<&Digest>) -> Result<Digest, Error> {
        let sink = self.settle().await?;
        let batch = self.take_batch();
        let expected = expected.cloned();
        blocking::run("upload", move || {
            let sink = sink.append(batch)?;
            let digest = Digest::from_sha256(&sink.hash.finalize().into());
            if let Some(expected) = expected.filter(|e| *e != digest) {
                return Err(Error::DigestMismatch { expected, actual: digest });
            }
            sink.file.sync_all().map_err(|e| Error::io("sync", &sink.draft, e))?;
            self.place.ledger.touch(Item::Blob(digest.clone()));
            durable::place(&sink.draft, &self.place.layout.blob(&digest))?;
            Ok(digest)
        })
        .await
    }
}
