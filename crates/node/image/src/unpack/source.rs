//! A layer's uncompressed bytes: decoded, counted, hashed, and cut off at a limit or when nobody wants them any more.
//! Must not know what is in them.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use types::Digest;

use super::error::LayerError;

const BUFFER_BYTES: usize = 256 << 10;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The stream.
pub(crate) struct Source {
    inner: Box<dyn Read>,
    hash: Sha256,
    offset: u64,
    bytes_max: u64,
    cancel: Arc<AtomicBool>,
}

impl Source {
    /// Decodes what `compressed` holds. The first bytes decide, not the media type: registries and tools are known to
    /// label plain and zstd layers as gzip, and every other reader looks at the bytes too.
    pub(crate) fn open(
        compressed: impl Read + 'static,
        bytes_max: u64,
        cancel: Arc<AtomicBool>,
    ) -> Result<Self, LayerError> {
        let mut compressed = BufReader::with_capacity(BUFFER_BYTES, compressed);
        let start = compressed.fill_buf().map_err(|e| LayerError::Read { source: Arc::new(e) })?;
        let inner: Box<dyn Read> = if start.starts_with(GZIP_MAGIC) {
            Box::new(MultiGzDecoder::new(compressed))
        } else if start.starts_with(ZSTD_MAGIC) {
            // Reads concatenated frames; a frame that asks for a window above 128 MiB is refused by the library.
            let decoder = zstd::stream::read::Decoder::with_buffer(compressed)
                .map_err(|e| LayerError::Read { source: Arc::new(e) })?;
            Box::new(decoder)
        } else {
            Box::new(compressed)
        };
        Ok(Self { inner, hash: Sha256::new(), offset: 0, bytes_max, cancel })
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads some bytes; zero at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(LayerError::Cancelled);
        }
        let read = loop {
            match self.inner.read(buffer) {
                Ok(read) => break read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LayerError::Read { source: Arc::new(error) }),
            }
        };
        self.offset += read as u64;
        if self.offset > self.bytes_max {
            let key = "unpacked_bytes_max";
            return Err(LayerError::TooLarge { what: "uncompressed bytes", limit: self.bytes_max, key });
        }
        self.hash.update(&buffer[..read]);
        Ok(read)
    }

    /// Reads what is left and gives the digest of all.
    pub(crate) fn finish(mut self) -> Result<Digest, LayerError> {
        let mut buffer = vec![0; BUFFER_BYTES];
        while self.read(&mut buffer)? > 0 {}
        Ok(Digest::from_sha256(&self.hash.finalize().into()))
    }
}
