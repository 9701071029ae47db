//! The file format of an index, written whole and read in parts.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{Directory, EndEntry, Group};
use crate::segments::ReadCounters;

const MAGIC: u64 = u64::from_be_bytes(*b"SMPNIDX1");
const ENTRY_BYTES: usize = 44;
const NUMBER_BYTES: usize = 4;
const FOOTER_BYTES: usize = 16;
/// Entries of ids that begin with one byte are about a 256th of all, so that they are read at once.
const FANOUT: usize = 256;

/// The bytes of an index.
pub(super) fn encode((mut directory, entries): (Directory, Vec<EndEntry>)) -> io::Result<Vec<u8>> {
    let mut by_id: Vec<u32> = (0..length(entries.len())?).collect();
    by_id.sort_unstable_by_key(|number| entries[*number as usize].id);
    directory.fanout = (0..=FANOUT as u128)
        .map(|first| by_id.partition_point(|number| entries[*number as usize].id >> 120 < first))
        .map(length)
        .collect::<io::Result<_>>()?;
    let mut bytes = Vec::with_capacity(entries.len() * (ENTRY_BYTES + NUMBER_BYTES));
    entries.iter().for_each(|entry| entry.encode(&mut bytes));
    by_id.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    let text = serde_json::to_vec(&directory)?;
    bytes.extend_from_slice(&text);
    bytes.extend(length(text.len())?.to_le_bytes());
    bytes.extend(length(entries.len())?.to_le_bytes());
    bytes.extend(MAGIC.to_le_bytes());
    Ok(bytes)
}

fn length(count: usize) -> io::Result<u32> {
    u32::try_from(count).map_err(io::Error::other)
}

impl EndEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.id.to_le_bytes());
        out.extend(self.start_ms.to_le_bytes());
        out.extend(self.duration_us.to_le_bytes());
        out.extend(self.memory_kib.to_le_bytes());
        out.extend(self.offset.to_le_bytes());
        out.extend(self.len.to_le_bytes());
    }

    fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        Self {
            id: u128::from_le_bytes(part(bytes, 0)),
            start_ms: i64::from_le_bytes(part(bytes, 16)),
            duration_us: u32::from_le_bytes(part(bytes, 24)),
            memory_kib: u32::from_le_bytes(part(bytes, 28)),
            offset: u64::from_le_bytes(part(bytes, 32)),
            len: u32::from_le_bytes(part(bytes, 40)),
        }
    }
}

/// `N` bytes from `at` on, which must exist.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|n| bytes[at + n])
}

/// An index open to read.
pub(crate) struct SegmentIndex {
    pub(crate) directory: Arc<Directory>,
    source: Source,
    entries: u32,
    directory_bytes: usize,
    reads: Arc<ReadCounters>,
}

/// Place of its bytes.
enum Source {
    File(File),
    /// It could not be written.
    Memory(Vec<u8>),
}

impl Source {
    fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::File(file) => {
                let mut bytes = vec![0; len];
                file.read_exact_at(&mut bytes, at)?;
                Ok(bytes)
            }
            Self::Memory(all) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                let bytes = from.checked_add(len).and_then(|end| all.get(from..end));
                bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
        }
    }
}

impl SegmentIndex {
    /// Opens an index; `directory` is passed if it was read before.
    pub(super) fn of_file(file: File, directory: Option<Arc<Directory>>, reads: Arc<ReadCounters>) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Self::open(Source::File(file), bytes, directory, reads)
    }

    pub(super) fn of_bytes(bytes: Vec<u8>, reads: Arc<ReadCounters>) -> io::Result<Self> {
        let len = bytes.len() as u64;
        Self::open(Source::Memory(bytes), len, None, reads)
    }

    fn open(source: Source, bytes: u64, held: Option<Arc<Directory>>, reads: Arc<ReadCounters>) -> io::Result<Self> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "it does not end as a log index does");
        let footer_at = bytes.checked_sub(FOOTER_BYTES as u64).ok_or_else(invalid)?;
        let footer = source.read(footer_at, FOOTER_BYTES)?;
        let (directory_bytes, entries) = (u32::from_le_bytes(part(&footer, 0)), u32::from_le_bytes(part(&footer, 4)));
        let directory_at = u64::from(entries) * (ENTRY_BYTES + NUMBER_BYTES) as u64;
        let whole = u64::from_le_bytes(part(&footer, 8)) == MAGIC
            && directory_at.checked_add(u64::from(directory_bytes)) == Some(footer_at);
        if !whole {
            return Err(invalid());
        }
        let directory_bytes = directory_bytes as usize;
        reads.took(FOOTER_BYTES);
        let directory = match held {
            Some(directory) => directory,
            None => {
                reads.took(directory_bytes);
                let directory: Directory = serde_json::from_slice(&source.read(directory_at, directory_bytes)?)?;
                if directory.fanout.len() != FANOUT + 1 {
                    return Err(invalid());
                }
                Arc::new(directory)
            }
        };
        Ok(Self { directory, source, entries, directory_bytes, reads })
    }

    pub(crate) fn directory_bytes(&self) -> usize {
        self.directory_bytes
    }

    /// Entries by their numbers.
    pub(crate) fn entries(&self, numbers: Range<u32>) -> io::Result<Vec<EndEntry>> {
        if numbers.end > self.entries {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = numbers.len() * ENTRY_BYTES;
        self.reads.took(len);
        let bytes = self.source.read(u64::from(numbers.start) * ENTRY_BYTES as u64, len)?;
        Ok(bytes.as_chunks().0.iter().map(EndEntry::decode).collect())
    }

    /// The entries of a group that began in a time range, both ends included.
    pub(crate) fn began_within(&self, group: &Group, start_ms: i64, end_ms: i64) -> io::Result<Range<u32>> {
        let end = group.first.saturating_add(group.count);
        let from =
            if start_ms <= group.start_ms.0 { group.first } else { self.first_from(group.first..end, start_ms)? };
        let to = match end_ms.checked_add(1).filter(|_| end_ms < group.start_ms.1) {
            Some(after) => self.first_from(from..end, after)?,
            None => end,
        };
        Ok(from..to.max(from))
    }

    /// The first entry that began at `start_ms` or later.
    fn first_from(&self, numbers: Range<u32>, start_ms: i64) -> io::Result<u32> {
        let Range { start: mut low, end: mut high } = numbers;
        while low < high {
            let middle = low + (high - low) / 2;
            let began_before = self.entries(middle..middle + 1)?.first().is_some_and(|entry| entry.start_ms < start_ms);
            if began_before { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// The entry of an id.
    pub(crate) fn find(&self, id: u128) -> io::Result<Option<EndEntry>> {
        let first = usize::from(id.to_be_bytes()[0]);
        let (from, to) = (self.directory.fanout[first], self.directory.fanout[first + 1]);
        if to > self.entries {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = (to.saturating_sub(from)) as usize * NUMBER_BYTES;
        self.reads.took(len);
        let by_id_at = u64::from(self.entries) * ENTRY_BYTES as u64;
        let numbers = self.source.read(by_id_at + u64::from(from) * NUMBER_BYTES as u64, len)?;
        let numbers: Vec<u32> = numbers.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let (mut low, mut high) = (0, numbers.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(entry) = self.entries(numbers[middle]..numbers[middle].saturating_add(1))?.pop() else { break };
            match entry.id.cmp(&id) {
                std::cmp::Ordering::Equal => return Ok(Some(entry)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::ended_rows;
    use crate::segments::SegmentFile;
    use std::io::Write;

    fn index(runs: &[(u128, i64)]) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&ended_rows(runs)).unwrap();
        super::super::build::build(&mut SegmentFile::plain(file)).unwrap()
    }

    #[test]
    fn entries_are_found_by_id_and_by_time() {
        let runs: Vec<_> =
            (0..2_000_u32).map(|n| (u128::from(n.wrapping_mul(0x9e37_79b9)) << 96, i64::from(n))).collect();
        let index = SegmentIndex::of_bytes(index(&runs), Arc::default()).unwrap();
        for (id, start_ms) in &runs {
            assert_eq!(index.find(*id).unwrap().unwrap().start_ms, *start_ms);
            assert_eq!(index.find(*id + 1).unwrap(), None);
        }
        let group = &index.directory.functions[0].groups[0];
        assert_eq!((group.count, group.start_ms), (2_000, (0, 1_999)));
        for (start, end, wanted) in
            [(0, 10, 11), (i64::MIN, i64::MAX, 2_000), (500, 500, 1), (1_999, 9_999, 1), (2_000, 9_999, 0), (9, 3, 0)]
        {
            assert_eq!(index.began_within(group, start, end).unwrap().len(), wanted, "{start}..={end}");
        }
    }

    #[test]
    fn a_damaged_index_is_an_error_not_a_panic() {
        let whole = index(&[(1, 1), (2, 2)]);
        for len in 0..whole.len() {
            assert!(SegmentIndex::of_bytes(whole[..len].to_vec(), Arc::default()).is_err(), "cut to {len}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            if let Ok(index) = SegmentIndex::of_bytes(bytes, Arc::default()) {
                let _ = index.find(1);
                for group in index.directory.functions.iter().flat_map(|rows| &rows.groups) {
                    let _ = index.began_within(group, 1, 2);
                }
            }
        }
    }
}
