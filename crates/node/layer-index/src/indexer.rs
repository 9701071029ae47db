//! Converts entries of an archive to entries of a file system whose data stay in the archive. Owns
//! the rules for entries of images and the place of their data.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use erofs::{BLOCK_BYTES, Extent, Meta};

use crate::Error;
use crate::archive::{Archive, Entry, Kind};
use crate::budget::Budget;
use crate::list::{ListWriter, Weight};
use crate::path::{EntryPath, Place, place};
use crate::sparse::SparseMap;
use crate::{Files, Limits};

const COPY_BYTES: usize = 256 << 10;
/// Aligns pages of a file with those of its device, so that the kernel reads one page instead of
/// two.
const SPARSE_ALIGN_BYTES: u64 = 4096;

/// Number of the layer's tar among its devices.
const TAR_DEVICE: u16 = 0;
/// Number of its file of sparse files.
const SPARSE_DEVICE: u16 = 1;

/// Collects the entries of one layer.
pub(crate) struct Indexer {
    budget: Arc<Budget>,
    limits: Limits,
    sparse: SparseFiles,
    /// Bytes of names, targets and attributes so far.
    text_bytes: u64,
    list: Option<ListWriter>,
    /// Bytes of the files, and entries, as taken from the budget.
    pub bytes: u64,
    pub taken: u64,
}

/// Files with holes, written out: their pieces lie close together in an archive, which a file
/// system cannot map.
struct SparseFiles {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Indexer {
    pub(crate) fn new(files: &Files<'_>, budget: Arc<Budget>, limits: Limits) -> Result<Self, Error> {
        let sparse = SparseFiles { path: files.sparse.to_owned(), file: None, bytes: 0 };
        let list = Some(ListWriter::create(files.list).map_err(list_error)?);
        Ok(Self { budget, limits, sparse, text_bytes: 0, list, bytes: 0, taken: 0 })
    }

    /// Adds one entry; its data is still in `archive`.
    pub(crate) fn add(&mut self, entry: Entry, archive: &mut Archive) -> Result<(), Error> {
        let path = self.path(&entry.path)?;
        self.take(0, 1)?;
        match place(path).map_err(|reason| Error::entry(&entry.path, reason))? {
            Place::Ignored => {}
            Place::Opaque(dir) => self.push(dir, erofs::Kind::Opaque, Meta::default())?,
            Place::Whiteout(path) => self.push(path, erofs::Kind::Whiteout, Meta::default())?,
            Place::Entry(path) => self.entry(path, entry, archive)?,
        }
        Ok(())
    }

    /// Makes the sparse files and the list durable; returns the length of the file of sparse files,
    /// 0 if there is none, and the weight of the list.
    pub(crate) fn finish(&mut self) -> Result<(u64, Weight), Error> {
        if let Some(file) = &self.sparse.file {
            file.sync_data().map_err(|e| Error::write("sync", b"the layer's sparse files", e))?;
        }
        let weight = self.list.take().map(ListWriter::finish).transpose().map_err(list_error)?;
        Ok((self.sparse.bytes, weight.unwrap_or_default()))
    }

    fn push(&mut self, path: EntryPath, kind: erofs::Kind, meta: Meta) -> Result<(), Error> {
        let path = path.into_bytes();
        let target = match &kind {
            erofs::Kind::Symlink { target } | erofs::Kind::HardLink { target } => target.len(),
            _ => 0,
        };
        let xattrs: usize = meta.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.text_bytes += (path.len() + target + xattrs) as u64;
        let limit = self.limits.text_bytes_max;
        if self.text_bytes > limit {
            let (what, key) = ("bytes in names, link targets and attributes of a layer", "layer_text_bytes_max");
            return Err(Error::TooLarge { what, limit, key });
        }
        let list = self.list.as_mut().expect("entries come before the end");
        list.push(&erofs::Entry { path, kind, meta }).map_err(list_error)
    }

    fn entry(&mut self, path: EntryPath, entry: Entry, archive: &mut Archive) -> Result<(), Error> {
        let Entry { path: name, kind, mode, uid, gid, mtime: (mtime_s, mtime_ns), xattrs } = entry;
        if path.is_root() && !matches!(kind, Kind::Directory) {
            return Err(Error::entry(&name, "is not a directory, but the root is one"));
        }
        let kind = match kind {
            Kind::Directory => erofs::Kind::Directory,
            Kind::File { size, sparse } => self.file(&path, size, sparse, archive)?,
            Kind::Symlink { target } if target.contains(&0) => {
                return Err(Error::entry(&name, "has a NUL byte in its target"));
            }
            Kind::Symlink { target } if target.len() > self.limits.path_len_max => {
                return Err(Error::entry(&name, "has a longer target than path_len_max of [image]"));
            }
            Kind::Symlink { target } => erofs::Kind::Symlink { target },
            Kind::HardLink { target } => {
                let target = EntryPath::parse(&target, self.limits.path_len_max)
                    .map_err(|reason| Error::LinkName { entry: erofs::shown_path(&name), reason })?;
                erofs::Kind::HardLink { target: target.into_bytes() }
            }
            Kind::Device { block: true, major, minor } => erofs::Kind::BlockDevice { major, minor },
            Kind::Device { block: false, major, minor } => erofs::Kind::CharDevice { major, minor },
            Kind::Fifo => erofs::Kind::Fifo,
        };
        let mode = u16::try_from(mode & 0o7777).expect("twelve bits fit");
        let xattrs = xattrs.into_iter().filter(|(name, _)| is_kept(name)).collect();
        let meta = Meta { mode, uid, gid, mtime_s, mtime_ns, xattrs };
        self.push(path, kind, meta)
    }

    fn file(
        &mut self,
        path: &EntryPath,
        size: u64,
        sparse: Option<SparseMap>,
        archive: &mut Archive,
    ) -> Result<erofs::Kind, Error> {
        self.take(size, 0)?;
        let data = match sparse {
            _ if size == 0 => None,
            Some(map) if !map.is_whole() => Some(self.sparse.add(&map, path, archive)?),
            _ => Some(Extent { device: TAR_DEVICE, offset: archive.data_offset() }),
        };
        Ok(erofs::Kind::File { size, data })
    }

    fn path(&self, name: &[u8]) -> Result<EntryPath, Error> {
        EntryPath::parse(name, self.limits.path_len_max).map_err(|reason| Error::entry(name, reason))
    }

    fn take(&mut self, bytes: u64, entries: u64) -> Result<(), Error> {
        self.budget.take(bytes, entries)?;
        self.bytes += bytes;
        self.taken += entries;
        Ok(())
    }
}

fn list_error(error: io::Error) -> Error {
    Error::write("write", b"the layer's index", error)
}

impl SparseFiles {
    fn add(&mut self, map: &SparseMap, path: &EntryPath, archive: &mut Archive) -> Result<Extent, Error> {
        let begin = self.bytes.next_multiple_of(SPARSE_ALIGN_BYTES);
        let failed = |e: io::Error| Error::write("write", path.as_bytes(), e);
        let mut file = match self.file.take() {
            Some(file) => file,
            None => File::create_new(&self.path).map_err(failed)?,
        };
        let mut buffer = vec![0; COPY_BYTES];
        for segment in &map.segments {
            file.seek(SeekFrom::Start(begin + segment.offset)).map_err(failed)?;
            let mut left = segment.len;
            while left > 0 {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let read = archive.read_data(&mut buffer[..wanted])?;
                if read == 0 {
                    return Err(Error::entry(path.as_bytes(), "has less data than its size says"));
                }
                file.write_all(&buffer[..read]).map_err(failed)?;
                left -= read as u64;
            }
        }
        self.bytes = (begin + map.real_size).next_multiple_of(BLOCK_BYTES);
        file.set_len(self.bytes).map_err(failed)?;
        self.file = Some(file);
        Ok(Extent { device: SPARSE_DEVICE, offset: begin })
    }
}

/// Whether an attribute is kept. Overlayfs' own would let a layer redirect lookups; labels of a
/// security module belong to the machine they were set on.
fn is_kept(name: &[u8]) -> bool {
    const KEPT: [&[u8]; 3] = [b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default"];
    let overlay = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
    !overlay && (name.starts_with(b"user.") || name.starts_with(b"trusted.") || KEPT.contains(&name))
}
