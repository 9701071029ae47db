//! Converts one layer's blob to its tar and index, on threads of its own.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf, Bytes};
use content_store::{LayerFacts, LayerName};
use layer_index::{Budget, Files, Indexed, Job, Limits, STREAM_BYTES};
use oci::Compression;
use registry_client::Sink;
use sha2::{Digest as _, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use types::Digest;

use super::Context;
use super::limits::Permits;
use crate::{Config, Error, blocking};

/// Chunks of a download that may wait for the decoder. A chunk is one read of the HTTP client: 8 to
/// some 400 KiB.
const WAITING_CHUNKS_MAX: usize = 16;

/// Windows of zstd streams, as powers of two: the library's default maximum for a layer with a zstd
/// media type; for any other, the window of all but the slowest levels.
const ZSTD_WINDOW_BITS: u32 = 27;
const HIDDEN_WINDOW_BITS: u32 = 23;
/// Copies of an entry's extension headers in memory, raw and parsed.
const HEADER_COPIES: u64 = 12;

/// A layer to index, and the image it belongs to.
#[derive(Clone)]
pub(super) struct LayerJob {
    pub context: Arc<Context>,
    /// The image as text, for errors.
    pub image: Arc<str>,
    /// The blob.
    pub digest: Digest,
    /// Expected digest of its uncompressed content; `None` when it is not known yet.
    pub diff_id: Option<Digest>,
    pub budget: Arc<Budget>,
}

/// Memory that indexing one layer takes.
#[derive(Debug, Clone, Copy)]
struct Room {
    memory_bytes: u64,
    zstd_window_bits: u32,
}

/// Permits and budget of a job.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    #[allow(dead_code)] // Held for its drop.
    permits: Arc<Permits>,
    room: Room,
}

/// Whether a blob begins as a zstd stream; the full read reports an I/O error.
fn is_zstd(blob: &File) -> bool {
    let mut magic = [0; Compression::MAGIC_BYTES];
    let read = blob.read_at(&mut magic, 0).unwrap_or_default();
    Compression::of(&magic[..read]) == Compression::Zstd
}

/// Cancels a thread's work when its last waiter is dropped.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl LayerJob {
    /// A job for a blob that no image has requested yet.
    pub(super) fn ahead(context: &Arc<Context>, blob: &Digest) -> Self {
        let Config { unpacked_bytes_max, entries_max, .. } = context.config;
        Self {
            context: context.clone(),
            image: blob.to_string().into(),
            digest: blob.clone(),
            diff_id: None,
            budget: Arc::new(Budget::new(unpacked_bytes_max, entries_max)),
        }
    }

    /// Indexes a stored blob, once its permits are available.
    pub(super) async fn stored(self) -> Result<(Digest, LayerFacts), Error> {
        let opened = self.context.content.open_blob(&self.digest).await?;
        let (blob, _) = opened.ok_or_else(|| content_store::Error::UnknownContent { digest: self.digest.clone() })?;
        let room = self.room(is_zstd(&blob));
        let permits = self.context.limits.local(&self.image, room.memory_bytes).await?;
        let cancel = Arc::new(AtomicBool::new(false));
        let _guard = CancelOnDrop(cancel.clone());
        blocking::run("indexing a layer", move || self.index(blob, cancel, &Taken { permits: Arc::new(permits), room }))
            .await
    }

    /// Waits for the permits of a blob that comes from a registry.
    pub(super) async fn take_room(&self, registry: &str, media_type: &str) -> Result<Taken, Error> {
        let room = self.room(media_type.ends_with("zstd"));
        let permits = self.context.limits.layer(&self.image, registry, room.memory_bytes).await?;
        Ok(Taken { permits: Arc::new(permits), room })
    }

    fn room(&self, is_zstd: bool) -> Room {
        let zstd_window_bits = if is_zstd { ZSTD_WINDOW_BITS } else { HIDDEN_WINDOW_BITS };
        let headers = HEADER_COPIES.saturating_mul(self.context.config.entry_header_bytes_max);
        let memory_bytes = (STREAM_BYTES + (1 << zstd_window_bits)).saturating_add(headers);
        Room { memory_bytes, zstd_window_bits }
    }

    /// Starts to index a blob while its bytes arrive.
    fn begin(self, taken: Taken) -> Run {
        let (chunks, waiting) = mpsc::channel(WAITING_CHUNKS_MAX);
        let (told, digest) = oneshot::channel();
        let cancel = Arc::new(AtomicBool::new(false));
        let blob = Incoming { waiting, chunk: Bytes::new(), hash: Some((Sha256::new(), told)) };
        let flag = cancel.clone();
        let job = tokio::task::spawn_blocking(move || self.index(blob, flag, &taken));
        Run { chunks: Some(chunks), digest, job: Some(job), cancel: CancelOnDrop(cancel) }
    }

    /// The permits are released when the thread ends, which may be after its waiters are gone.
    fn index(
        self,
        compressed: impl Read + Send,
        cancel: Arc<AtomicBool>,
        taken: &Taken,
    ) -> Result<(Digest, LayerFacts), Error> {
        let Context { layers, config, .. } = &*self.context;
        let draft = layers.begin()?;
        let limits = Limits {
            stream_bytes_max: config.unpacked_bytes_max,
            extension_bytes_max: config.entry_header_bytes_max,
            path_len_max: config.path_len_max,
            text_bytes_max: config.layer_text_bytes_max,
            zstd_window_bits: taken.room.zstd_window_bits,
        };
        let mut compressed = Counted { source: compressed, bytes: 0 };
        let job = Job { compressed: &mut compressed, limits, budget: self.budget.clone(), cancel };
        let files = Files { tar: &draft.tar(), sparse: &draft.sparse(), list: &draft.list() };
        let indexed = layer_index::index(job, &files).map_err(|e| self.failed(e))?;
        let Indexed { diff_id, tar_bytes, tar_digest, sparse_bytes, bytes, entries, weight } = indexed;
        if let Some(expected) = self.diff_id.clone().filter(|expected| *expected != diff_id) {
            self.budget.give_back(bytes, entries);
            return Err(self.failed(layer_index::Error::DiffId { expected, actual: diff_id }));
        }
        let facts = LayerFacts {
            bytes,
            entries,
            tar_bytes,
            tar_digest,
            sparse_bytes,
            weight: Some(weight),
            sparse_digest: None,
            index_digest: None,
        };
        let name = LayerName::tar(&diff_id);
        layers.publish_layer(&draft, &name, &facts)?;
        layers.add_source(&name, &self.digest, compressed.bytes)?;
        self.context.remember(&self.digest, &diff_id);
        Ok((diff_id, facts))
    }

    fn failed(&self, error: layer_index::Error) -> Error {
        layer_error(&self.context, &self.image, &self.digest, error)
    }
}

/// Counts the bytes read.
struct Counted<R> {
    source: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Converts a layer's error to an image's; a full or failing disk takes precedence over the
/// operation.
pub(super) fn layer_error(context: &Context, image: &str, digest: &Digest, error: layer_index::Error) -> Error {
    let path = context.layers.place();
    if let Some(source) = error.disk_full() {
        return content_store::Error::DiskFull { path, source: source.clone() }.into();
    }
    if let Some(source) = error.disk_failed() {
        return content_store::Error::Io { operation: "read or write a layer in", path, source: source.clone() }.into();
    }
    Error::Layer { image: image.to_owned(), digest: digest.clone(), source: Arc::new(error) }
}

/// Arriving bytes of a blob, hashed as they are read.
struct Incoming {
    waiting: mpsc::Receiver<Bytes>,
    chunk: Bytes,
    /// The hash and its receiver, until the end was read.
    hash: Option<(Sha256, oneshot::Sender<Digest>)>,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            let Some(chunk) = self.waiting.blocking_recv() else {
                if let Some((hash, told)) = self.hash.take() {
                    // The receiver of an aborted transfer is gone.
                    let _ = told.send(Digest::from_sha256(&hash.finalize().into()));
                }
                return Ok(0);
            };
            if let Some((hash, _)) = &mut self.hash {
                hash.update(&chunk);
            }
            self.chunk = chunk;
        }
        let len = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..len]);
        Ok(len)
    }
}

/// A layer that is indexed while it arrives. Dropping it cancels the work.
struct Run {
    /// `None` once all bytes were sent.
    chunks: Option<mpsc::Sender<Bytes>>,
    digest: oneshot::Receiver<Digest>,
    /// `None` once its result was taken.
    job: Option<JoinHandle<Result<(Digest, LayerFacts), Error>>>,
    cancel: CancelOnDrop,
}

/// Sink for the bytes of a layer from a registry.
pub(super) struct LayerSink {
    job: LayerJob,
    taken: Taken,
    run: Run,
    offset: u64,
}

impl LayerSink {
    pub(super) fn new(job: LayerJob, taken: Taken) -> Self {
        let run = job.clone().begin(taken.clone());
        Self { job, taken, run, offset: 0 }
    }

    /// Cancels the work, and waits for its end.
    pub(super) async fn abort(mut self) {
        self.run.stop().await;
    }

    /// Waits for the index of the received bytes; returns the blob's actual digest, if it was read
    /// to its end.
    pub(super) async fn finish(mut self) -> (Option<Digest>, Result<(Digest, LayerFacts), Error>) {
        self.run.chunks = None;
        let indexed = self.run.outcome().await;
        (self.run.digest.await.ok(), indexed)
    }
}

impl Run {
    async fn outcome(&mut self) -> Result<(Digest, LayerFacts), Error> {
        let interrupted = Error::from(content_store::Error::Interrupted { operation: "indexing a layer" });
        let Some(job) = self.job.take() else { return Err(interrupted) };
        match job.await {
            Ok(indexed) => indexed,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(interrupted),
        }
    }

    async fn stop(&mut self) {
        self.cancel.0.store(true, Ordering::Relaxed);
        self.chunks = None;
        // Its budget is released when it ends; the result is irrelevant.
        let _ = self.outcome().await;
    }
}

impl Sink for LayerSink {
    type Error = Error;

    fn offset(&self) -> u64 {
        self.offset
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let len = bytes.len() as u64;
        let chunks = self.run.chunks.as_ref().expect("chunks are sent until the end only");
        if chunks.send(bytes).await.is_err() {
            // It ended early, so it failed.
            let ended = self.run.outcome().await;
            return Err(ended
                .err()
                .unwrap_or(content_store::Error::Interrupted { operation: "indexing a layer" }.into()));
        }
        self.offset += len;
        Ok(())
    }

    fn is_content_error(error: &Error) -> bool {
        // A blob that cannot be indexed may be something other than a layer.
        matches!(error, Error::Layer { .. } | Error::Registry(registry_client::Error::SizeMismatch { .. }))
    }

    async fn restart(&mut self) -> Result<(), Error> {
        self.run.stop().await;
        (self.run, self.offset) = (self.job.clone().begin(self.taken.clone()), 0);
        Ok(())
    }
}
