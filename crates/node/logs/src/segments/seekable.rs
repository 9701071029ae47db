//! Closed segments: zstd frames of whole rows, followed by a table that finds a frame by its offset
//! before compression.
//!
//! The layout is that of the zstd project's seekable format (contrib/seekable_format, version
//! 0.1.0, no checksums in the table): the table is in a skippable frame, so any zstd decompressor
//! reads such a file as plain text.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

const SKIPPABLE_MAGIC: u32 = 0x184D_2A5E;
const SEEKABLE_MAGIC: u32 = 0x8F92_EAB1;
const ENTRY_BYTES: u64 = 8;
const FOOTER_BYTES: u64 = 9;
const HEADER_BYTES: u64 = 8;
/// The library's own default: rows compress about tenfold at some hundred MB a second.
const LEVEL: i32 = 3;

/// One frame of a compressed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its offset in the file.
    pub(super) offset: u64,
    pub(super) len: u32,
    /// Offset of its text in the segment.
    pub(super) plain_offset: u64,
    pub(super) plain_len: u32,
}

/// Writes rows to `target`, frame by frame, and the table. `rows_at` returns whole rows from an
/// offset on, and nothing at the end.
pub(super) fn compress(mut rows_at: impl FnMut(u64) -> io::Result<Vec<u8>>, mut target: &File) -> io::Result<()> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    let mut entries = Vec::new();
    let mut offset = 0;
    loop {
        let rows = rows_at(offset)?;
        if rows.is_empty() {
            break;
        }
        let frame = compressor.compress(&rows)?;
        target.write_all(&frame)?;
        entries.push((length(frame.len())?, length(rows.len())?));
        offset += rows.len() as u64;
    }
    target.write_all(&encode_table(&entries)?)
}

fn length(bytes: usize) -> io::Result<u32> {
    u32::try_from(bytes).map_err(io::Error::other)
}

fn encode_table(entries: &[(u32, u32)]) -> io::Result<Vec<u8>> {
    let mut table = Vec::new();
    table.extend(SKIPPABLE_MAGIC.to_le_bytes());
    table.extend(length(entries.len() * ENTRY_BYTES as usize + FOOTER_BYTES as usize)?.to_le_bytes());
    for (len, plain_len) in entries {
        table.extend(len.to_le_bytes());
        table.extend(plain_len.to_le_bytes());
    }
    table.extend(length(entries.len())?.to_le_bytes());
    table.push(0);
    table.extend(SEEKABLE_MAGIC.to_le_bytes());
    Ok(table)
}

/// Reads the table of a compressed segment.
pub(super) fn read_table(mut file: &File) -> io::Result<Vec<Frame>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the seek table {what}"));
    let file_bytes = file.metadata()?.len();
    let footer_at = file_bytes.checked_sub(FOOTER_BYTES).ok_or_else(|| invalid("is missing"))?;
    let mut footer = [0; FOOTER_BYTES as usize];
    file.seek(SeekFrom::Start(footer_at))?;
    file.read_exact(&mut footer)?;
    let count = u32::from_le_bytes([footer[0], footer[1], footer[2], footer[3]]);
    if footer[4] != 0 || footer[5..] != SEEKABLE_MAGIC.to_le_bytes() {
        return Err(invalid("is missing"));
    }
    let table_bytes = u64::from(count) * ENTRY_BYTES;
    let entries_at = footer_at.checked_sub(table_bytes).ok_or_else(|| invalid("is longer than the file"))?;
    let mut entries = vec![0; usize::try_from(table_bytes).map_err(io::Error::other)?];
    file.seek(SeekFrom::Start(entries_at))?;
    file.read_exact(&mut entries)?;
    let (mut offset, mut plain_offset) = (0, 0);
    let mut frames = Vec::with_capacity(entries.len() / ENTRY_BYTES as usize);
    for entry in entries.chunks_exact(ENTRY_BYTES as usize) {
        let word = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        let frame = Frame { offset, len: word(0), plain_offset, plain_len: word(4) };
        offset += u64::from(frame.len);
        plain_offset += u64::from(frame.plain_len);
        frames.push(frame);
    }
    if offset + HEADER_BYTES == entries_at { Ok(frames) } else { Err(invalid("does not fit the file")) }
}

#[cfg(test)]
mod tests {
    use super::super::SegmentFile;
    use super::*;

    fn file_with(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn compress_file(rows: &[u8], target: &File) -> io::Result<()> {
        let mut source = SegmentFile::plain(file_with(rows));
        compress(|offset| source.rows_at(offset), target)
    }

    #[test]
    fn any_zstd_reader_sees_the_rows_and_the_table_finds_them() {
        let rows: Vec<u8> = (0..100_000).flat_map(|n| format!("row {n}\n").into_bytes()).collect();
        let target = tempfile::tempfile().unwrap();
        compress_file(&rows, &target).unwrap();
        let mut reader = target.try_clone().unwrap();
        reader.seek(SeekFrom::Start(0)).unwrap();
        assert_eq!(zstd::decode_all(&reader).unwrap(), rows);
        let frames = read_table(&target).unwrap();
        assert!(frames.len() > 2);
        let mut file = SegmentFile::compressed(target).unwrap();
        let at = rows.len() / 2;
        assert_eq!(file.read(at as u64, 1_000).unwrap(), &rows[at..at + 1_000]);
        assert_eq!(file.read(frames[1].plain_offset - 5, 10).unwrap().len(), 10);
        assert_eq!(file.read(rows.len() as u64, 10).unwrap(), b"");
    }

    #[test]
    fn a_damaged_table_is_an_error_not_a_panic() {
        let target = tempfile::tempfile().unwrap();
        compress_file(b"a\nb\n", &target).unwrap();
        let mut whole = Vec::new();
        (&target).seek(SeekFrom::Start(0)).unwrap();
        (&target).read_to_end(&mut whole).unwrap();
        assert!(read_table(&file_with(&whole)).is_ok());
        for len in 0..whole.len() {
            assert!(read_table(&file_with(&whole[..len])).is_err(), "cut to {len}");
        }
        let count_at = whole.len() - FOOTER_BYTES as usize;
        whole[count_at] = 200;
        assert!(read_table(&file_with(&whole)).is_err());
    }
}
