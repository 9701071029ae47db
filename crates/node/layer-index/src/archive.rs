//! Reads entries of a tar stream one after another, with a limit on everything that is kept in
//! memory. The `tar` crate parses header fields; framing is done here, since that crate reads
//! extension headers of any length into memory, splits PAX records at newlines within values, and
//! supports one of the four sparse formats.

use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

use crate::Error;
use crate::pax::{Extensions, number};
use crate::sparse::{Segment, SparseMap};
use crate::stream::{Stream, Whole};

const BLOCK: usize = 512;
/// Places of device numbers in a header (POSIX.1-2017, pax, ustar interchange format).
const DEVICE_MAJOR: std::ops::Range<usize> = 329..337;
const DEVICE_MINOR: std::ops::Range<usize> = 337..345;

/// The archive.
pub(crate) struct Archive {
    source: Stream,
    /// Unread data bytes of the current entry, and the padding after them.
    left: u64,
    padding: u64,
    extension_bytes_max: u64,
}

/// One entry; its data, if any, is read from the archive before the next.
#[derive(Debug)]
pub(crate) struct Entry {
    pub path: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    File { size: u64, sparse: Option<SparseMap> },
    Directory,
    Symlink { target: Vec<u8> },
    HardLink { target: Vec<u8> },
    Device { block: bool, major: u32, minor: u32 },
    Fifo,
}

impl Archive {
    pub(crate) fn new(source: Stream, extension_bytes_max: u64) -> Self {
        Self { source, left: 0, padding: 0, extension_bytes_max }
    }

    /// The next entry; `None` at the end of the archive.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_entry()?;
            let Some(header) = self.read_header()? else {
                return if extensions.is_empty() { Ok(None) } else { Err(self.bad("an entry is missing at the end")) };
            };
            let kind = header.entry_type();
            let size =
                or_zero(&header.as_old().size, header.entry_size()).map_err(|_| self.bad("a size is malformed"))?;
            match kind {
                EntryType::GNULongName => extensions.gnu_path = self.read_name(size)?,
                EntryType::GNULongLink => extensions.gnu_link = self.read_name(size)?,
                EntryType::XHeader => {
                    let records = self.read_extension(size)?;
                    extensions.add_pax(&records).map_err(|reason| self.bad(reason))?;
                }
                // Defaults for all later entries: no tool writes values there that would change a
                // file system.
                EntryType::XGlobalHeader => self.begin_data(size),
                // A volume label.
                kind if kind.as_byte() == b'V' => self.begin_data(size),
                kind => return self.entry(&header, kind, size, extensions).map(Some),
            }
        }
    }

    /// Data of the current entry; zero at its end.
    pub(crate) fn read_data(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.source.read(&mut buffer[..wanted])?;
        if read == 0 {
            return Err(self.bad("it ends within an entry"));
        }
        self.left -= read as u64;
        Ok(read)
    }

    /// Offset of the current entry's data in the archive, before any of it is read.
    pub(crate) fn data_offset(&self) -> u64 {
        self.source.offset()
    }

    /// Reads to the end of the stream and returns its digest and length.
    pub(crate) fn finish(self) -> Result<Whole, Error> {
        self.source.finish()
    }

    fn bad(&self, reason: &'static str) -> Error {
        Error::Archive { offset: self.source.offset(), reason }
    }

    fn begin_data(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip_entry(&mut self) -> Result<(), Error> {
        let left = std::mem::take(&mut self.left);
        if self.source.skip(left)? < left {
            return Err(self.bad("it ends within an entry"));
        }
        // Archives of `umoci insert` end with the last byte of the last file, which other readers
        // accept.
        self.source.skip(std::mem::take(&mut self.padding))?;
        Ok(())
    }

    /// A whole block, or `None` at the end of the stream.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<Option<()>, Error> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.source.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(self.bad("it ends within a header")),
                read => filled += read,
            }
        }
        Ok(Some(()))
    }

    fn read_header(&mut self) -> Result<Option<Header>, Error> {
        let mut header = Header::new_old();
        if self.read_block(header.as_mut_bytes())?.is_none() {
            return Ok(None);
        }
        let bytes = header.as_bytes();
        if bytes.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let sum = |value: fn(u8) -> i64| -> i64 {
            let summed = bytes[..148].iter().chain(&bytes[156..]).map(|b| value(*b));
            summed.sum::<i64>() + 8 * i64::from(b' ')
        };
        let expected = i64::from(header.cksum().map_err(|_| self.bad("a checksum is malformed"))?);
        // Old writers summed signed bytes.
        #[allow(clippy::cast_possible_wrap)] // That is what they did.
        if sum(i64::from) != expected && sum(|b| i64::from(b as i8)) != expected {
            return Err(self.bad("a header has the wrong checksum"));
        }
        Ok(Some(header))
    }

    fn read_extension(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > self.extension_bytes_max {
            let (what, key) = ("bytes in the extension headers of an entry", "entry_header_bytes_max");
            return Err(Error::TooLarge { what, limit: self.extension_bytes_max, key });
        }
        self.begin_data(size);
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| self.bad("a size is malformed"))?];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += self.read_data(&mut bytes[filled..])?;
        }
        Ok(bytes)
    }

    fn read_name(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        let mut name = self.read_extension(size)?;
        name.truncate(name.iter().position(|b| *b == 0).unwrap_or(name.len()));
        Ok(name)
    }

    fn entry(
        &mut self,
        header: &Header,
        kind: EntryType,
        header_size: u64,
        mut extensions: Extensions,
    ) -> Result<Entry, Error> {
        let path = extensions.take_path().unwrap_or_else(|| header.path_bytes().into_owned());
        let size = extensions.size.unwrap_or(header_size);
        let id = |extended: Option<u64>, plain: std::io::Result<u64>| {
            let id = extended.or(plain.ok()).ok_or(Error::entry(&path, "has a malformed owner"))?;
            u32::try_from(id).map_err(|_| Error::entry(&path, "has an owner above 32 bits"))
        };
        let (uid, gid) = (
            id(extensions.uid, or_zero(&header.as_old().uid, header.uid()))?,
            id(extensions.gid, or_zero(&header.as_old().gid, header.gid()))?,
        );
        let mode = or_zero(&header.as_old().mode, header.mode())
            .map_err(|_| Error::entry(&path, "has a malformed mode"))?
            & 0o7777;
        let mtime = match extensions.mtime {
            Some(mtime) => mtime,
            // Negative numbers come as two's complement.
            None => (
                or_zero(&header.as_old().mtime, header.mtime())
                    .map_err(|_| Error::entry(&path, "has a malformed time"))?
                    .cast_signed(),
                0,
            ),
        };
        let kind = self.kind(header, kind, size, &path, &mut extensions)?;
        Ok(Entry { path, kind, mode, uid, gid, mtime, xattrs: extensions.xattrs })
    }

    fn kind(
        &mut self,
        header: &Header,
        kind: EntryType,
        size: u64,
        path: &[u8],
        extensions: &mut Extensions,
    ) -> Result<Kind, Error> {
        let mut target = || {
            let target = extensions.take_link().or_else(|| header.link_name_bytes().map(|l| l.into_owned()));
            target.filter(|t| !t.is_empty()).ok_or(Error::entry(path, "is a link to nothing"))
        };
        let number = |place: std::ops::Range<usize>, number: std::io::Result<Option<u32>>| {
            let number = number.map(Option::unwrap_or_default);
            or_zero(&header.as_bytes()[place], number).map_err(|_| Error::entry(path, "has a malformed device number"))
        };
        // Every other reader would ignore data after a link, directory or device, because it takes
        // their size as zero.
        match kind {
            // The format before POSIX marks directories by their name.
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Ok(Kind::Directory),
            EntryType::Regular | EntryType::Continuous => {
                self.begin_data(size);
                let sparse = self.pax_sparse(extensions)?;
                let size = sparse.as_ref().map_or(size, |map| map.real_size);
                Ok(Kind::File { size, sparse })
            }
            EntryType::GNUSparse => {
                let map = self.gnu_sparse(header, size)?;
                Ok(Kind::File { size: map.real_size, sparse: Some(map) })
            }
            EntryType::Directory => Ok(Kind::Directory),
            EntryType::Symlink => Ok(Kind::Symlink { target: target()? }),
            EntryType::Link => Ok(Kind::HardLink { target: target()? }),
            EntryType::Char | EntryType::Block => Ok(Kind::Device {
                block: kind == EntryType::Block,
                major: number(DEVICE_MAJOR, header.device_major())?,
                minor: number(DEVICE_MINOR, header.device_minor())?,
            }),
            EntryType::Fifo => Ok(Kind::Fifo),
            _ => Err(Error::entry(path, "is of a kind that no image has")),
        }
    }

    fn pax_sparse(&mut self, extensions: &mut Extensions) -> Result<Option<SparseMap>, Error> {
        let sparse = std::mem::take(&mut extensions.sparse);
        let Some(real_size) = sparse.real_size else { return Ok(None) };
        let segments = if sparse.map_in_data { self.read_sparse_map()? } else { sparse.map };
        SparseMap::new(segments, real_size, self.left).map(Some).map_err(|reason| self.bad(reason))
    }

    /// Format 1.0: decimal lines before the data, padded to a block.
    fn read_sparse_map(&mut self) -> Result<Vec<Segment>, Error> {
        let mut block = Vec::new();
        let mut bytes_left = self.extension_bytes_max;
        let mut line = |archive: &mut Self| -> Result<u64, Error> {
            let mut text = Vec::new();
            loop {
                if block.is_empty() {
                    bytes_left = bytes_left.checked_sub(BLOCK as u64).ok_or(Error::TooLarge {
                        what: "bytes in the sparse map of an entry",
                        limit: archive.extension_bytes_max,
                        key: "entry_header_bytes_max",
                    })?;
                    block = archive.read_data_block()?;
                    block.reverse();
                }
                match block.pop() {
                    Some(b'\n') => return number(&text).ok_or(archive.bad("a sparse map is malformed")),
                    Some(byte) if text.len() < 20 => text.push(byte),
                    _ => return Err(archive.bad("a sparse map is malformed")),
                }
            }
        };
        let count = line(self)?;
        let mut segments = Vec::new();
        for _ in 0..count {
            segments.push(Segment { offset: line(self)?, len: line(self)? });
        }
        Ok(segments)
    }

    fn read_data_block(&mut self) -> Result<Vec<u8>, Error> {
        let mut block = vec![0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.read_data(&mut block[filled..])? {
                0 => return Err(self.bad("a sparse map ends early")),
                read => filled += read,
            }
        }
        Ok(block)
    }

    /// The format before PAX: four segments in the header, more in blocks between it and the data.
    fn gnu_sparse(&mut self, header: &Header, size: u64) -> Result<SparseMap, Error> {
        let gnu = header.as_gnu().ok_or_else(|| self.bad("a sparse entry has no GNU header"))?;
        let mut segments = Vec::new();
        self.add_segments(&gnu.sparse, &mut segments)?;
        let mut extended = gnu.is_extended();
        while extended {
            let mut more = GnuExtSparseHeader::new();
            if self.read_block(more.as_mut_bytes())?.is_none() {
                return Err(self.bad("it ends within a header"));
            }
            self.add_segments(&more.sparse, &mut segments)?;
            extended = more.is_extended();
        }
        let real_size = gnu.real_size().map_err(|_| self.bad("a size is malformed"))?;
        self.begin_data(size);
        SparseMap::new(segments, real_size, size).map_err(|reason| self.bad(reason))
    }

    fn add_segments(&self, fields: &[GnuSparseHeader], segments: &mut Vec<Segment>) -> Result<(), Error> {
        for field in fields.iter().filter(|f| !f.is_empty()) {
            let (Ok(offset), Ok(len)) = (field.offset(), field.length()) else {
                return Err(self.bad("a sparse map is malformed"));
            };
            segments.push(Segment { offset, len });
            if (segments.len() * size_of::<Segment>()) as u64 > self.extension_bytes_max {
                let (what, key) = ("bytes in the sparse map of an entry", "entry_header_bytes_max");
                return Err(Error::TooLarge { what, limit: self.extension_bytes_max, key });
            }
        }
        Ok(())
    }
}

/// A number of a header; some writers leave fields empty that mean 0.
fn or_zero<T: Default>(field: &[u8], number: std::io::Result<T>) -> std::io::Result<T> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(T::default()) } else { number }
}
