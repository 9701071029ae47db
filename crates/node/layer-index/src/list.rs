//! The list of a layer's entries, written as they arrive and read one after another, so that they
//! are never all in memory.
//!
//! ```text
//! number of entries    a varint of five bytes
//! entries              each as postcard writes it
//! ```

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Bytes of the number of entries: seven bits a byte, all but the last with the eighth set, so that
/// it can be written at the end.
const COUNT_BYTES: usize = 5;
/// Size of the write buffer.
const BUFFER_BYTES: usize = 256 << 10;

/// Memory for merging a layer with others, by its components: an upper bound for any lower layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// Names other than directories.
    pub files: u64,
    /// Names of directories, including implied ones that have no entry but are on a path of one.
    pub directories: u64,
    /// Bytes of names, link targets and attributes.
    pub text_bytes: u64,
}

/// Writes a list.
pub(crate) struct ListWriter {
    file: BufWriter<File>,
    count: u64,
    encoded: Vec<u8>,
    last: Vec<u8>,
    weight: Weight,
}

impl ListWriter {
    /// Creates a list in a new file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::create_new(path)?);
        file.write_all(&[0; COUNT_BYTES])?;
        Ok(Self { file, count: 0, encoded: Vec::new(), last: Vec::new(), weight: Weight::default() })
    }

    pub(crate) fn push(&mut self, entry: &erofs::Entry) -> io::Result<()> {
        self.weigh(entry);
        self.count += 1;
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        self.encoded = postcard::to_extend(entry, encoded).map_err(io::Error::other)?;
        self.file.write_all(&self.encoded)
    }

    /// Makes the list durable.
    pub(crate) fn finish(self) -> io::Result<Weight> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&count(self.count))?;
        file.sync_all()?;
        Ok(self.weight)
    }

    fn weigh(&mut self, entry: &erofs::Entry) {
        let (parts, bytes) = beyond(&self.last, &entry.path);
        let weight = &mut self.weight;
        match &entry.kind {
            erofs::Kind::Whiteout | erofs::Kind::Opaque => return,
            erofs::Kind::Directory => weight.directories += parts,
            kind => {
                weight.files += 1;
                weight.directories += parts.saturating_sub(1);
                if let erofs::Kind::Symlink { target } = kind {
                    // Missing directories of the target's path may be created.
                    weight.directories += target.split(|byte| *byte == b'/').count() as u64;
                    weight.text_bytes += target.len() as u64;
                }
            }
        }
        let xattrs = entry.meta.xattrs.iter().map(|(name, value)| XATTR_BYTES + (name.len() + value.len()) as u64);
        weight.text_bytes += bytes + xattrs.sum::<u64>();
        self.last.clear();
        self.last.extend_from_slice(&entry.path);
    }
}

/// Overhead of an attribute beside its name and value, counted as bytes of text.
const XATTR_BYTES: u64 = 32;

impl Weight {
    /// Memory of an inode, its name and its place: in the tree (120 and 40 bytes, a name of its own
    /// in 32), in the plan (48), in the image (64, an entry of a directory, unused space).
    const FILE_BYTES: u64 = 384;
    /// A directory also has a table and blocks of the image of its own.
    const DIRECTORY_BYTES: u64 = 768;
    /// Text is in the tree and in the image, where blocks stay partly empty for it.
    const TEXT_FACTOR: u64 = 3;

    /// An estimate for a layer from before weights were stored.
    pub fn guess(entries: u64, index_bytes: u64) -> Self {
        Self { files: entries, directories: entries / 4, text_bytes: index_bytes }
    }

    /// Names of files and directories.
    pub fn names(&self) -> u64 {
        self.files.saturating_add(self.directories)
    }

    /// Bytes of memory.
    pub fn merged_bytes(&self) -> u64 {
        let files = self.files.saturating_mul(Self::FILE_BYTES);
        let directories = self.directories.saturating_mul(Self::DIRECTORY_BYTES);
        files.saturating_add(directories).saturating_add(self.text_bytes.saturating_mul(Self::TEXT_FACTOR))
    }
}

impl std::ops::AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.files = self.files.saturating_add(other.files);
        self.directories = self.directories.saturating_add(other.directories);
        self.text_bytes = self.text_bytes.saturating_add(other.text_bytes);
    }
}

/// Components of a path after its common prefix with another, and their bytes.
fn beyond(last: &[u8], path: &[u8]) -> (u64, u64) {
    let mut before = last.split(|byte| *byte == b'/');
    let parts = path.split(|byte| *byte == b'/').skip_while(|part| before.next() == Some(part));
    parts.fold((0, 0), |(count, bytes), part| (count + 1, bytes + part.len() as u64))
}

fn count(number: u64) -> [u8; COUNT_BYTES] {
    std::array::from_fn(|at| {
        let bits = u8::try_from(number >> (7 * at) & 0x7f).expect("seven bits");
        if at + 1 < COUNT_BYTES { bits | 0x80 } else { bits }
    })
}

/// The entries of a list, or the error of its header.
pub struct Entries<'a>(Result<(u64, &'a [u8]), postcard::Error>);

impl<'a> Entries<'a> {
    /// The entries of a list in memory.
    pub fn of(list: &'a [u8]) -> Self {
        Self(postcard::take_from_bytes(list))
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<erofs::Entry, postcard::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (left, rest) = match std::mem::replace(&mut self.0, Ok((0, &[]))) {
            Ok((0, _)) => return None,
            Ok(at) => at,
            Err(error) => return Some(Err(error)),
        };
        let taken = postcard::take_from_bytes(rest);
        Some(taken.map(|(entry, rest)| {
            self.0 = Ok((left - 1, rest));
            entry
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: erofs::Kind) -> erofs::Entry {
        erofs::Entry { path: path.into(), kind, meta: erofs::Meta::default() }
    }

    fn written(entries: &[erofs::Entry]) -> (Vec<u8>, Weight) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("index");
        let mut list = ListWriter::create(&path).expect("a new file");
        entries.iter().for_each(|entry| list.push(entry).expect("room"));
        let weight = list.finish().expect("room");
        (std::fs::read(path).expect("just written"), weight)
    }

    #[test]
    fn a_list_is_read_as_it_was_written_also_as_a_whole() {
        for count in [0, 1, 200, 20_000] {
            let entries: Vec<_> = (0..count).map(|n| entry(&format!("d/{n}"), erofs::Kind::Fifo)).collect();
            let (bytes, _) = written(&entries);
            assert_eq!(Entries::of(&bytes).collect::<Result<Vec<_>, _>>().as_ref(), Ok(&entries));
            // The format of earlier versions.
            assert_eq!(postcard::from_bytes::<Vec<erofs::Entry>>(&bytes).as_ref(), Ok(&entries));
            let whole = postcard::to_stdvec(&entries).expect("plain data");
            assert_eq!(Entries::of(&whole).collect::<Result<Vec<_>, _>>().as_ref(), Ok(&entries));
        }
    }

    #[test]
    fn a_list_that_breaks_off_gives_an_error_and_ends() {
        let (bytes, _) = written(&[entry("a", erofs::Kind::Fifo), entry("b", erofs::Kind::Fifo)]);
        let read: Vec<_> = Entries::of(&bytes[..bytes.len() - 1]).collect();
        assert!(matches!(read[..], [Ok(_), Err(_)]), "{read:?}");
        assert!(matches!(Entries::of(b"").collect::<Vec<_>>()[..], [Err(_)]));
    }

    #[test]
    fn what_is_on_the_way_to_an_entry_counts() {
        let link = |target: &str| erofs::Kind::Symlink { target: target.into() };
        for (entries, files, directories, text_bytes) in [
            (vec![entry("", erofs::Kind::Directory), entry("a", erofs::Kind::Directory)], 0, 1, 1),
            (vec![entry("a/b/c/d", erofs::Kind::Fifo)], 1, 3, 4),
            (vec![entry("a/b/c", erofs::Kind::Fifo), entry("a/b/dd", erofs::Kind::Fifo)], 2, 2, 5),
            (vec![entry("l", link("x/y/z"))], 1, 3, 6),
            (vec![entry("a/b", erofs::Kind::Whiteout), entry("a", erofs::Kind::Opaque)], 0, 0, 0),
        ] {
            assert_eq!(written(&entries).1, Weight { files, directories, text_bytes }, "{entries:?}");
        }
    }
}
