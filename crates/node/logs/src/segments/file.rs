//! One segment open to read, plain or compressed: bytes by their offset before compression.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::ReadCounters;
use super::seekable::{self, Frame};

/// Bytes of one read; a frame of a compressed segment holds as many.
const CHUNK_BYTES: usize = 256 << 10;

/// A segment open to read.
pub(crate) struct SegmentFile {
    form: OpenForm,
    reads: Arc<ReadCounters>,
}

enum OpenForm {
    Plain(File),
    Zstd {
        file: File,
        frames: Vec<Frame>,
        /// The frame decompressed last, by its index.
        cached: Option<(usize, Vec<u8>)>,
    },
}

impl SegmentFile {
    pub(crate) fn plain(file: File) -> Self {
        Self { form: OpenForm::Plain(file), reads: Arc::default() }
    }

    pub(super) fn compressed(file: File) -> io::Result<Self> {
        let frames = seekable::read_table(&file)?;
        Ok(Self { form: OpenForm::Zstd { file, frames, cached: None }, reads: Arc::default() })
    }

    /// Counts reads of it.
    pub(super) fn counted(self, reads: Arc<ReadCounters>) -> Self {
        Self { reads, ..self }
    }

    /// Whole rows from `offset` (the beginning of one) on, about 256 KiB of them; nothing at the
    /// end. A last row without its newline is not returned yet.
    pub(crate) fn rows_at(&mut self, offset: u64) -> io::Result<Vec<u8>> {
        if let OpenForm::Zstd { .. } = self.form {
            // Frames end with a row, so the rest of a frame is whole rows.
            return Ok(self.frame_from(offset)?.to_vec());
        }
        let mut want = CHUNK_BYTES;
        loop {
            let mut rows = self.read(offset, want)?;
            let ended = rows.len() < want;
            if let Some(newline) = rows.iter().rposition(|b| *b == b'\n') {
                rows.truncate(newline + 1);
                return Ok(rows);
            }
            if ended {
                return Ok(Vec::new());
            }
            want *= 2;
        }
    }

    /// Whole rows that end at `end` (where one ends), about 256 KiB of them, and where the first of
    /// them begins.
    pub(crate) fn rows_before(&mut self, end: u64) -> io::Result<(u64, Vec<u8>)> {
        if let OpenForm::Zstd { frames, .. } = &self.form {
            let index = frames.partition_point(|f| f.plain_offset + u64::from(f.plain_len) < end);
            let Some(start) = frames.get(index).map(|frame| frame.plain_offset) else { return Ok((0, Vec::new())) };
            let len = usize::try_from(end - start).unwrap_or(usize::MAX);
            return Ok((start, self.read(start, len)?));
        }
        let mut want = CHUNK_BYTES;
        loop {
            let start = end.saturating_sub(want as u64);
            let rows = self.read(start, usize::try_from(end - start).unwrap_or(usize::MAX))?;
            if start == 0 {
                return Ok((0, rows));
            }
            // The first row may be cut; the newline of the last one is ignored.
            let inner = &rows[..rows.len().saturating_sub(1)];
            if let Some(newline) = inner.iter().position(|b| *b == b'\n') {
                return Ok((start + newline as u64 + 1, rows[newline + 1..].to_vec()));
            }
            want *= 2;
        }
    }

    /// Up to `len` bytes from `offset`; fewer at the end.
    pub(crate) fn read(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if let OpenForm::Plain(file) = &self.form {
            let bytes = read_plain(file, offset, len)?;
            self.reads.took(bytes.len());
            return Ok(bytes);
        }
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let part = self.frame_from(offset + bytes.len() as u64)?;
            if part.is_empty() {
                break;
            }
            let take = part.len().min(len - bytes.len());
            bytes.extend_from_slice(&part[..take]);
        }
        Ok(bytes)
    }

    /// The rest, from `offset` on, of the frame that contains it; nothing after the last frame or
    /// in a plain file.
    fn frame_from(&mut self, offset: u64) -> io::Result<&[u8]> {
        let OpenForm::Zstd { file, frames, cached } = &mut self.form else { return Ok(&[]) };
        let index = frames.partition_point(|f| f.plain_offset + u64::from(f.plain_len) <= offset);
        let Some(frame) = frames.get(index) else { return Ok(&[]) };
        if cached.as_ref().is_none_or(|(held, _)| *held != index) {
            let mut compressed = vec![0; frame.len as usize];
            file.read_exact_at(&mut compressed, frame.offset)?;
            self.reads.took(frame.plain_len as usize);
            *cached = Some((index, zstd::bulk::decompress(&compressed, frame.plain_len as usize)?));
        }
        let text = cached.as_ref().map_or(&[][..], |(_, text)| text);
        let from = usize::try_from(offset - frame.plain_offset).unwrap_or(usize::MAX);
        Ok(text.get(from..).unwrap_or(&[]))
    }
}

fn read_plain(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let available = file.metadata()?.len().saturating_sub(offset);
    let mut bytes = vec![0; len.min(usize::try_from(available).unwrap_or(usize::MAX))];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn rows_come_whole_however_long_they_are() {
        let mut file = tempfile::tempfile().unwrap();
        let long = "x".repeat(CHUNK_BYTES * 3);
        write!(file, "a\n{long}\nb\ntorn").unwrap();
        let mut segment = SegmentFile::plain(file);
        let first = segment.rows_at(0).unwrap();
        assert_eq!(first, b"a\n");
        let second = segment.rows_at(2).unwrap();
        assert_eq!(second.len(), long.len() + 1 + 2);
        let end = 2 + second.len() as u64;
        assert_eq!(segment.rows_at(end).unwrap(), b"");
        assert_eq!(segment.rows_at(end + 1_000).unwrap(), b"");
        assert_eq!(segment.rows_before(end).unwrap(), (end - 2, b"b\n".to_vec()));
        let (start, rows) = segment.rows_before(end - 2).unwrap();
        assert_eq!((start, rows.len()), (0, 2 + long.len() + 1), "the long row is longer than what is read at once");
        assert_eq!(segment.rows_before(0).unwrap(), (0, Vec::new()));
    }
}
