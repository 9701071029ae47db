//! A layer's uncompressed bytes: decoded on a thread of their own; before the reader gets them they
//! are hashed, counted, limited, and copied to the layer's tar file.
//!
//! Two threads share the work of one layer, since inflating costs about as much as hashing and
//! writing its output.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use erofs::BLOCK_BYTES;
use oci::Compression;
use sha2::{Digest as _, Sha256};
use types::Digest;

use crate::Error;
use crate::Limits;
use crate::gzip::Gzip;

/// Memory of a stream beside the zstd window: the buffers, one more at each end, input chunks, and
/// the decoder's state.
pub const STREAM_BYTES: u64 = 16 << 20;
/// Size of one buffer between the two threads.
const BUFFER_BYTES: usize = 1 << 20;
/// Buffers between the two threads; the memory of a stream.
const BUFFERS: usize = 4;
const INPUT_BYTES: usize = 256 << 10;
/// What zstd calls `ZSTD_error_frameParameter_windowTooLarge` (lib/common/error_private.c).
const WINDOW_TOO_LARGE: &str = "requires too much memory";
/// Bytes after which the kernel is asked to begin writing them to the disk, so that the sync at the
/// end finds little.
const WRITE_BACK_BYTES: u64 = 16 << 20;

/// The reading end.
pub(crate) struct Stream {
    full: Receiver<Vec<u8>>,
    empty: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    /// Bytes of `current` that were read.
    at: usize,
    copy: Option<Copy>,
    hash: Sha256,
    /// Bytes read, and bytes received.
    offset: u64,
    received: u64,
    bytes_max: u64,
    cancel: Arc<AtomicBool>,
}

/// Digest and length of a decoded stream.
pub(crate) struct Whole {
    pub digest: Digest,
    /// Length of the copy: that of the stream, padded with zeros to a whole block, without which a
    /// loop device would not show its last bytes.
    pub copy_bytes: u64,
    /// Digest of the copy, if it is padded.
    pub padded_digest: Option<Digest>,
}

/// The decoding end.
pub(crate) struct Decoder {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    cancel: Arc<AtomicBool>,
    zstd_window_bits: u32,
}

/// The tar file.
struct Copy {
    file: File,
    written: u64,
    pushed: u64,
}

/// Creates both ends of a stream that is copied to `copy`.
pub(crate) fn stream(copy: Option<File>, limits: &Limits, cancel: Arc<AtomicBool>) -> (Decoder, Stream) {
    let (full, received) = sync_channel(BUFFERS);
    let (empty, spare) = sync_channel(BUFFERS);
    let stream = Stream {
        full: received,
        empty,
        current: Vec::new(),
        at: 0,
        copy: copy.map(|file| Copy { file, written: 0, pushed: 0 }),
        hash: Sha256::new(),
        offset: 0,
        received: 0,
        bytes_max: limits.stream_bytes_max,
        cancel: cancel.clone(),
    };
    (Decoder { full, empty: spare, cancel, zstd_window_bits: limits.zstd_window_bits }, stream)
}

impl Decoder {
    /// Decodes all of `compressed`, to its end even when its content is damaged or no longer
    /// needed, so that the digest of the whole is known; only a cancelled stream ends early. The
    /// first bytes decide the compression, not the media type: some registries and tools label
    /// plain and zstd layers as gzip, and every other reader checks the bytes too.
    pub(crate) fn run(self, mut compressed: impl Read) -> Result<(), Error> {
        let decoded = self.decode(&mut compressed);
        // Dropping `full` ends the reader.
        let Self { full, cancel, .. } = self;
        drop(full);
        let mut rest = vec![0; INPUT_BYTES];
        while !cancel.load(Ordering::Relaxed) {
            match compressed.read(&mut rest) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                _ => {}
            }
        }
        decoded
    }

    fn decode(&self, compressed: &mut impl Read) -> Result<(), Error> {
        let failed = |e| Error::Read { source: Arc::new(e) };
        let mut compressed = BufReader::with_capacity(INPUT_BYTES, compressed);
        // The first chunk of a download may be shorter than a magic number.
        let mut magic = [0; Compression::MAGIC_BYTES];
        let len = fill(&mut compressed, &mut magic).map_err(|(_, error)| failed(error))?;
        let whole = io::Cursor::new(&magic[..len]).chain(compressed);
        match Compression::of(&magic[..len]) {
            Compression::None => self.forward(whole),
            Compression::Gzip => self.forward(Gzip::new(whole)),
            Compression::Zstd => {
                // Reads concatenated frames; fails on one that requires a larger window.
                let mut decoder = zstd::stream::read::Decoder::with_buffer(whole).map_err(failed)?;
                decoder.window_log_max(self.zstd_window_bits).map_err(failed)?;
                self.forward(decoder).map_err(|error| self.with_window(error))
            }
            Compression::Unknown(name) => {
                let reason = format!("it is compressed with {name}; layers are plain, gzip or zstd");
                Err(failed(io::Error::new(io::ErrorKind::InvalidData, reason)))
            }
        }
    }

    /// Names the limit in the library's error about a window that is larger.
    fn with_window(&self, error: Error) -> Error {
        match &error {
            Error::Read { source } if source.to_string().contains(WINDOW_TOO_LARGE) => {
                let bits = self.zstd_window_bits;
                let reason = format!(
                    "its zstd window is larger than {} MiB; compress it with --long={bits} or less, as a layer of a \
                     zstd media type",
                    (1_u64 << bits) >> 20
                );
                Error::Read { source: Arc::new(io::Error::new(io::ErrorKind::InvalidData, reason)) }
            }
            _ => error,
        }
    }

    fn forward(&self, mut decoded: impl Read) -> Result<(), Error> {
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let mut buffer = self.empty.try_recv().unwrap_or_default();
            buffer.resize(BUFFER_BYTES, 0);
            let filled = fill(&mut decoded, &mut buffer);
            let end = !matches!(filled, Ok(BUFFER_BYTES));
            // Bytes before a failure are passed on: they may contain the cause.
            let (len, result) = filled.map_or_else(|(len, error)| (len, Err(error)), |len| (len, Ok(())));
            buffer.truncate(len);
            // A reader that has ended reports its own error.
            let wanted = len == 0 || self.full.send(buffer).is_ok();
            result.map_err(|e| Error::Read { source: Arc::new(e) })?;
            if end || !wanted {
                return Ok(());
            }
        }
    }
}

/// Fills a buffer as far as the stream goes; an error includes the number of bytes read before it.
fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> Result<usize, (usize, io::Error)> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((filled, error)),
        }
    }
    Ok(filled)
}

impl Stream {
    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads some bytes; zero at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let here = self.here()?;
        let len = here.len().min(buffer.len());
        buffer[..len].copy_from_slice(&here[..len]);
        self.advance(len);
        Ok(len)
    }

    /// Skips up to `bytes`; returns how many were skipped.
    pub(crate) fn skip(&mut self, bytes: u64) -> Result<u64, Error> {
        let mut left = bytes;
        while left > 0 {
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(self.here()?.len());
            if len == 0 {
                break;
            }
            self.advance(len);
            left -= len as u64;
        }
        Ok(bytes - left)
    }

    /// Reads the rest, makes the copy durable, and returns the digest and length.
    pub(crate) fn finish(mut self) -> Result<Whole, Error> {
        self.skip(u64::MAX)?;
        let digest = |hash: Sha256| Digest::from_sha256(&hash.finalize().into());
        let padding = usize::try_from(self.received.next_multiple_of(BLOCK_BYTES) - self.received).unwrap_or_default();
        let mut whole = Whole { digest: digest(self.hash.clone()), copy_bytes: self.received, padded_digest: None };
        if let Some(copy) = &mut self.copy {
            if padding > 0 {
                let zeros = vec![0; padding];
                copy.append(&zeros)?;
                self.hash.update(&zeros);
                whole.copy_bytes += padding as u64;
                whole.padded_digest = Some(digest(self.hash));
            }
            copy.file.sync_data().map_err(tar_error)?;
        }
        Ok(whole)
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.offset += bytes as u64;
    }

    /// Bytes that can be read now; none at the end.
    fn here(&mut self) -> Result<&[u8], Error> {
        if self.at == self.current.len() {
            self.next_buffer()?;
        }
        Ok(&self.current[self.at..])
    }

    fn next_buffer(&mut self) -> Result<(), Error> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        self.at = 0;
        let spent = std::mem::take(&mut self.current);
        // A decoder that has ended needs no buffer.
        let _ = self.empty.try_send(spent);
        let Ok(buffer) = self.full.recv() else { return Ok(()) };
        self.received += buffer.len() as u64;
        if self.received > self.bytes_max {
            let key = "unpacked_bytes_max";
            return Err(Error::TooLarge { what: "uncompressed bytes", limit: self.bytes_max, key });
        }
        self.hash.update(&buffer);
        if let Some(copy) = &mut self.copy {
            copy.append(&buffer)?;
        }
        self.current = buffer;
        Ok(())
    }
}

impl Copy {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(tar_error)?;
        self.written += bytes.len() as u64;
        if self.written - self.pushed >= WRITE_BACK_BYTES {
            // Only a hint; the final sync makes it durable.
            let _ = sys::file::start_write_back(self.file.as_fd(), self.pushed, self.written - self.pushed);
            self.pushed = self.written;
        }
        Ok(())
    }
}

fn tar_error(error: io::Error) -> Error {
    Error::write("write", b"the layer's tar", error)
}
