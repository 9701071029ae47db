//! Streams a file in chunks: copied from the page cache without a thread where it is cached, read
//! on a blocking thread with read-ahead otherwise.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use rustix::fs::Advice;
use rustix::io::ReadWriteFlags;

/// Length of a chunk: it stays in the processor's cache between the copy from the file and the copy
/// to the socket.
const PIECE_BYTES: u64 = 256 * 1024;
/// Buffers that one download reuses; a connection queues two chunks (hyper's default of 400 KB).
/// Fresh memory for each chunk would cost as much as the copy into it.
const BUFFERS_MAX: usize = 4;
/// Read-ahead requested from the disk when the next bytes are not cached.
const READ_AHEAD_BYTES: NonZeroU64 = NonZeroU64::new(4 * 1024 * 1024).expect("not zero");

/// Streams `count` bytes of a file from `first`.
///
/// Errors are those of reading; `UnexpectedEof` when the file is shorter than expected.
pub(crate) fn pieces(file: File, first: u64, count: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let file = Arc::new(file);
    let download = Download { file, offset: first, end: first.saturating_add(count), lent: VecDeque::new() };
    stream::try_unfold(download, |mut download| async move {
        let piece = download.next().await?;
        Ok(piece.map(|piece| (piece, download)))
    })
}

struct Download {
    file: Arc<File>,
    offset: u64,
    end: u64,
    /// Chunks handed out, oldest first: the memory of one is reused once its receiver has dropped
    /// it.
    lent: VecDeque<Bytes>,
}

impl Download {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let wanted = self.end.saturating_sub(self.offset).min(PIECE_BYTES);
        if wanted == 0 {
            return Ok(None);
        }
        let mut buffer = self.buffer();
        buffer.resize(usize::try_from(wanted).expect("a piece fits into memory"), 0);
        let read = match read_cached(&self.file, &mut buffer, self.offset) {
            Some(read) => read,
            None => {
                let (file, offset) = (self.file.clone(), self.offset);
                let waiting = tokio::task::spawn_blocking(move || read_from_disk(&file, buffer, offset));
                let (filled, read) = waiting.await.map_err(io::Error::other)??;
                buffer = filled;
                read
            }
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
        buffer.truncate(read);
        self.offset += read as u64;
        let piece = buffer.freeze();
        self.lent.push_back(piece.clone());
        Ok(Some(piece))
    }

    /// The oldest buffer if its receiver has dropped it, else a new one.
    fn buffer(&mut self) -> BytesMut {
        match self.lent.pop_front().map(Bytes::try_into_mut) {
            Some(Ok(buffer)) => return buffer,
            Some(Err(taken)) if self.lent.len() + 1 < BUFFERS_MAX => self.lent.push_front(taken),
            Some(Err(_)) | None => {}
        }
        BytesMut::with_capacity(PIECE_BYTES as usize)
    }
}

/// Reads cached bytes of the file, at most a full buffer; `None` when the read must wait for the
/// disk, or fails.
fn read_cached(file: &File, buffer: &mut [u8], offset: u64) -> Option<usize> {
    rustix::io::preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT).ok()
}

/// Reads a full buffer from the disk, with read-ahead of what follows. Blocks.
fn read_from_disk(file: &File, mut buffer: BytesMut, offset: u64) -> io::Result<(BytesMut, usize)> {
    // The advice is an optimisation; a failure is harmless.
    let _ = rustix::fs::fadvise(file, offset, Some(READ_AHEAD_BYTES), Advice::WillNeed);
    let read = file.read_at(&mut buffer, offset)?;
    Ok((buffer, read))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use futures_util::{StreamExt as _, TryStreamExt as _};

    use super::*;

    fn content() -> Vec<u8> {
        (0..600_000u32).flat_map(u32::to_le_bytes).collect()
    }

    /// A file of that content, evicted from the page cache when `cold`.
    fn file(content: &[u8], cold: bool) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        if cold {
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        }
        file
    }

    async fn read(file: File, first: u64, count: u64) -> io::Result<Vec<u8>> {
        pieces(file, first, count)
            .try_fold(Vec::new(), async |all: Vec<u8>, piece| Ok([&all[..], &piece].concat()))
            .await
    }

    #[tokio::test]
    async fn every_range_equals_the_file() {
        let content = content();
        let length = content.len() as u64;
        for cold in [false, true] {
            for (first, count) in [(0, length), (0, 0), (1, 1), (PIECE_BYTES - 1, 2), (length - 1, 1), (length, 0)] {
                let read = read(file(&content, cold), first, count).await.unwrap();
                assert!(read == content[first as usize..(first + count) as usize], "{first}+{count}, cold: {cold}");
            }
        }
    }

    #[tokio::test]
    async fn a_truncated_file_is_an_error() {
        let error = read(file(b"abc", false), 0, 4).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn buffers_of_dropped_chunks_are_reused() {
        let mut stream = Box::pin(pieces(file(&content(), false), 0, 5 * PIECE_BYTES));
        let first = stream.next().await.unwrap().unwrap();
        let address = first.as_ptr();
        let second = stream.next().await.unwrap().unwrap();
        assert_ne!(second.as_ptr(), address, "the first is still in use");
        drop(first);
        let third = stream.next().await.unwrap().unwrap();
        assert_eq!(third.as_ptr(), address);
    }
}
