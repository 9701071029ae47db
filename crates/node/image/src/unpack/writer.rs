//! Entries become files, in the form that overlayfs reads as a layer. Must not know where entries come from, nor what
//! is done with the directory afterwards.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::archive::{Archive, Entry, Kind};
use super::budget::Budget;
use super::error::{LayerError, shown};
use super::lower::{Found, Lowers};
use super::path::{EntryPath, Place, place};
use super::sparse::SparseMap;
use super::tree::{self, Metadata, Tree};

const COPY_BYTES: usize = 256 << 10;
const LEADS_OUT: &str = "leads out of the layer through a symbolic link";

/// Writes one layer.
pub(super) struct Writer<'a> {
    tree: Tree,
    lowers: Option<&'a Lowers>,
    budget: Arc<Budget>,
    path_len_max: usize,
    /// The directory of the last entry: archives list a directory's entries one after another.
    parent: Option<(EntryPath, Rc<OwnedFd>)>,
    /// Times of directories, set at the end since each new entry changes them.
    dir_times: Vec<(EntryPath, (i64, u32))>,
    /// Directories that exist only because something is in them.
    implied: BTreeSet<EntryPath>,
    buffer: Vec<u8>,
    /// What was taken from the budget.
    pub bytes: u64,
    pub entries: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(tree: Tree, lowers: Option<&'a Lowers>, budget: Arc<Budget>, path_len_max: usize) -> Self {
        Self {
            tree,
            lowers,
            budget,
            path_len_max,
            parent: None,
            dir_times: Vec::new(),
            implied: BTreeSet::from([EntryPath::default()]),
            buffer: vec![0; COPY_BYTES],
            bytes: 0,
            entries: 0,
        }
    }

    /// Writes one entry; its data comes from `archive`.
    pub(super) fn write(&mut self, entry: Entry, archive: &mut Archive) -> Result<(), LayerError> {
        let path = self.path(&entry.path)?;
        self.take(0, 1)?;
        match place(path).map_err(|reason| LayerError::entry(&entry.path, reason))? {
            Place::Ignored => Ok(()),
            Place::Opaque(dir) => self.opaque(&dir),
            Place::Whiteout(path) => self.whiteout(&path),
            Place::Entry(path) => self.entry(&path, entry, archive),
        }
    }

    /// Sets what could not be set before, and makes all durable. Gives the directories that no entry describes.
    pub(super) fn finish(mut self) -> Result<BTreeSet<EntryPath>, LayerError> {
        self.describe_root()?;
        for (path, mtime) in std::mem::take(&mut self.dir_times) {
            let set = match path.split() {
                None => self.tree.dir(&path).and_then(|root| tree::set_time(&root, b".", mtime)),
                Some((dir, name)) => self.tree.dir(&dir).and_then(|dir| tree::set_time(&dir, name, mtime)),
            };
            match set {
                // A later entry took its place.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(error) => return Err(LayerError::write("set the time of", path.as_bytes(), error)),
            }
        }
        self.tree.sync().map_err(|e| LayerError::write("sync", b".", e))?;
        Ok(self.implied)
    }

    /// The root is a directory as others are: without an entry it looks like the one below.
    fn describe_root(&mut self) -> Result<(), LayerError> {
        let path = EntryPath::default();
        if !self.implied.contains(&path) {
            return Ok(());
        }
        let metadata = self.implied_metadata(&path)?;
        let failed = |e| LayerError::write("set owner and mode of", b".", e);
        let root = self.tree.dir(&path).map_err(failed)?;
        tree::set_open(&root, &metadata).map_err(failed)?;
        self.dir_times.push((path, metadata.mtime));
        Ok(())
    }

    fn path(&self, name: &[u8]) -> Result<EntryPath, LayerError> {
        EntryPath::parse(name, self.path_len_max).map_err(|reason| LayerError::entry(name, reason))
    }

    fn take(&mut self, bytes: u64, entries: u64) -> Result<(), LayerError> {
        self.budget.take(bytes, entries)?;
        self.bytes += bytes;
        self.entries += entries;
        Ok(())
    }

    fn entry(&mut self, path: &EntryPath, entry: Entry, archive: &mut Archive) -> Result<(), LayerError> {
        let Entry { kind, mode, uid, gid, mtime, xattrs, .. } = entry;
        let metadata = Metadata { mode, uid, gid, mtime, xattrs };
        match kind {
            Kind::Directory => self.directory(path, &metadata),
            _ if path.is_root() => Err(LayerError::entry(&entry.path, "is not a directory, but the root is one")),
            Kind::File { size, sparse } => self.file(path, &metadata, size, sparse, archive),
            Kind::Symlink { target } => {
                let make = |dir: &OwnedFd, name: &[u8]| fs::symlinkat(target.as_slice(), dir, name);
                self.special(path, &metadata, true, make)
            }
            Kind::Device { block, major, minor } => {
                let kind = if block { FileType::BlockDevice } else { FileType::CharacterDevice };
                let device = fs::makedev(major, minor);
                self.special(path, &metadata, false, |dir, name| {
                    fs::mknodat(dir, name, kind, Mode::from_raw_mode(0o600), device)
                })
            }
            Kind::Fifo => self.special(path, &metadata, false, |dir, name| {
                fs::mknodat(dir, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            }),
            Kind::HardLink { target } => self.hard_link(path, &target),
        }
    }

    fn file(
        &mut self,
        path: &EntryPath,
        metadata: &Metadata,
        size: u64,
        sparse: Option<SparseMap>,
        archive: &mut Archive,
    ) -> Result<(), LayerError> {
        self.take(size, 0)?;
        let (dir, name) = self.parent(path)?;
        let mut file = File::from(self.make(path, &dir, name, create_file)?);
        match sparse {
            None => self.copy(&mut file, size, path, archive)?,
            Some(map) => {
                for segment in &map.segments {
                    let seek = file.seek(SeekFrom::Start(segment.offset));
                    seek.map_err(|e| LayerError::write("write", path.as_bytes(), e))?;
                    self.copy(&mut file, segment.len, path, archive)?;
                }
                file.set_len(map.real_size).map_err(|e| LayerError::write("write", path.as_bytes(), e))?;
            }
        }
        tree::set_open(file.as_fd(), metadata)
            .map_err(|e| LayerError::write("set owner, mode and attributes of", path.as_bytes(), e))
    }

    fn copy(
        &mut self,
        file: &mut File,
        mut left: u64,
        path: &EntryPath,
        archive: &mut Archive,
    ) -> Result<(), LayerError> {
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let read = archive.read_data(&mut self.buffer[..wanted])?;
            if read == 0 {
                return Err(LayerError::entry(path.as_bytes(), "has less data than its size says"));
            }
            file.write_all(&self.buffer[..read]).map_err(|e| LayerError::write("write", path.as_bytes(), e))?;
            left -= read as u64;
        }
        Ok(())
    }

    fn special(
        &mut self,
        path: &EntryPath,
        metadata: &Metadata,
        link: bool,
        make: impl Fn(&OwnedFd, &[u8]) -> rustix::io::Result<()>,
    ) -> Result<(), LayerError> {
        let (dir, name) = self.parent(path)?;
        self.make(path, &dir, name, make)?;
        tree::set_named(&dir, name, metadata, link)
            .map_err(|e| LayerError::write("set owner, mode and attributes of", path.as_bytes(), e))
    }

    fn directory(&mut self, path: &EntryPath, metadata: &Metadata) -> Result<(), LayerError> {
        if !path.is_root() {
            let (dir, name) = self.parent(path)?;
            self.make_dir(path, &dir, name)?;
        }
        self.implied.remove(path);
        self.describe_dir(path, metadata)
    }

    fn describe_dir(&mut self, path: &EntryPath, metadata: &Metadata) -> Result<(), LayerError> {
        let failed = |e| LayerError::write("set owner, mode and attributes of", path.as_bytes(), e);
        // Just made or found to be a directory, in a directory that is below the root: no link is followed.
        let dir = self.tree.dir(path).map_err(failed)?;
        tree::set_open(&dir, metadata).map_err(failed)?;
        self.dir_times.push((path.clone(), metadata.mtime));
        Ok(())
    }

    /// Makes a directory where there is none; what else is there goes. Over a whiteout it becomes opaque: what lower
    /// layers had at this path was removed.
    fn make_dir(&mut self, path: &EntryPath, dir: &OwnedFd, name: &[u8]) -> Result<(), LayerError> {
        let failed = |e| LayerError::write("make directory", path.as_bytes(), e);
        let there = tree::stat(dir, name).map_err(failed)?;
        if there.as_ref().is_some_and(tree::is_dir) {
            return Ok(());
        }
        if there.is_some() {
            self.remove(path, dir, name)?;
        }
        fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)).map_err(failed)?;
        if there.as_ref().is_some_and(tree::is_whiteout) {
            let made = self.tree.dir(path).map_err(failed)?;
            tree::set_opaque(&made).map_err(|e| LayerError::write("mark as opaque", path.as_bytes(), e))?;
        }
        Ok(())
    }

    /// Hides what lower layers have; an entry of this layer at the same path stays.
    fn whiteout(&mut self, path: &EntryPath) -> Result<(), LayerError> {
        let failed = |e| LayerError::write("make the whiteout of", path.as_bytes(), e);
        let (dir, name) = self.parent(path)?;
        match tree::stat(&dir, name).map_err(failed)? {
            Some(stat) if tree::is_dir(&stat) => self.opaque(path),
            Some(_) => Ok(()),
            None => fs::mknodat(&*dir, name, FileType::CharacterDevice, Mode::from_raw_mode(0o600), 0).map_err(failed),
        }
    }

    fn opaque(&mut self, path: &EntryPath) -> Result<(), LayerError> {
        let dir = self.dir(path)?;
        tree::set_opaque(&*dir).map_err(|e| LayerError::write("mark as opaque", path.as_bytes(), e))
    }

    fn hard_link(&mut self, path: &EntryPath, target_name: &[u8]) -> Result<(), LayerError> {
        let failed = |e| LayerError::write("link", path.as_bytes(), e);
        let target = EntryPath::parse(target_name, self.path_len_max)
            .map_err(|_| LayerError::entry(path.as_bytes(), "is a hard link to a path that is not in the layer"))?;
        if target == *path {
            return Ok(());
        }
        if !self.has(&target)? {
            self.copy_up(path, &target)?;
        }
        let Some((target_dir, target_name)) = target.split() else {
            return Err(LayerError::entry(path.as_bytes(), "is a hard link to the root"));
        };
        let target_dir = self.tree.dir(&target_dir).map_err(failed)?;
        let (dir, name) = self.parent(path)?;
        self.make(path, &dir, name, |dir, name| fs::linkat(&target_dir, target_name, dir, name, AtFlags::empty()))
    }

    /// Whether this layer has something at `path` that can be linked to.
    fn has(&self, path: &EntryPath) -> Result<bool, LayerError> {
        let Some((dir, name)) = path.split() else { return Ok(true) };
        let failed = |e| LayerError::write("look at", path.as_bytes(), e);
        let dir = match self.tree.dir(&dir) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(false),
            Err(Errno::XDEV | Errno::LOOP) => return Err(LayerError::entry(path.as_bytes(), LEADS_OUT)),
            Err(error) => return Err(failed(error)),
        };
        let stat = tree::stat(&dir, name).map_err(failed)?;
        if stat.as_ref().is_some_and(tree::is_dir) {
            return Err(LayerError::entry(path.as_bytes(), "is a directory, but a hard link is made to it"));
        }
        Ok(stat.is_some_and(|stat| !tree::is_whiteout(&stat)))
    }

    /// Brings a file of a lower layer into this one, as overlayfs does before it links one.
    fn copy_up(&mut self, link: &EntryPath, path: &EntryPath) -> Result<(), LayerError> {
        let failed = |e| LayerError::write("look below for", path.as_bytes(), e);
        let found = self.lowers.map(|lowers| lowers.find(path)).transpose().map_err(failed)?.flatten();
        let Some(found) = found else {
            let (entry, target) = (shown(link.as_bytes()), shown(path.as_bytes()));
            return Err(LayerError::LinkTarget { entry, target });
        };
        match FileType::from_raw_mode(found.stat.st_mode) {
            FileType::RegularFile => self.copy_file(path, &found),
            FileType::Symlink => {
                let target = fs::readlinkat(&found.dir, found.name.as_slice(), Vec::new()).map_err(failed)?;
                let (uid, gid, mode) = (found.stat.st_uid, found.stat.st_gid, 0o777);
                let metadata = Metadata { mode, uid, gid, mtime: (found.stat.st_mtime, 0), xattrs: Vec::new() };
                self.special(path, &metadata, true, |dir, name| fs::symlinkat(target.as_c_str(), dir, name))
            }
            _ => Err(LayerError::entry(
                link.as_bytes(),
                "is a hard link to what is neither a file nor a link, in a lower layer",
            )),
        }
    }

    fn copy_file(&mut self, path: &EntryPath, found: &Found) -> Result<(), LayerError> {
        let failed = |e: io::Error| LayerError::write("copy up", path.as_bytes(), e);
        self.take(found.stat.st_size.unsigned_abs(), 1)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let from = fs::openat(&found.dir, found.name.as_slice(), flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        let metadata = tree::metadata(&from).map_err(|e| failed(e.into()))?;
        let (dir, name) = self.parent(path)?;
        let mut to = File::from(self.make(path, &dir, name, create_file)?);
        io::copy(&mut File::from(from), &mut to).map_err(failed)?;
        tree::set_open(to.as_fd(), &metadata).map_err(|e| failed(e.into()))
    }

    /// Makes something at `name`; what is there goes, since the last entry of a path counts.
    fn make<T>(
        &mut self,
        path: &EntryPath,
        dir: &OwnedFd,
        name: &[u8],
        make: impl Fn(&OwnedFd, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<T, LayerError> {
        match make(dir, name) {
            Err(Errno::EXIST) => {
                self.remove(path, dir, name)?;
                make(dir, name)
            }
            made => made,
        }
        .map_err(|e| LayerError::write("make", path.as_bytes(), e))
    }

    fn remove(&mut self, path: &EntryPath, dir: &OwnedFd, name: &[u8]) -> Result<(), LayerError> {
        self.parent = None;
        tree::remove(dir, name).map_err(|e| LayerError::write("replace", path.as_bytes(), e))
    }

    fn parent<'p>(&mut self, path: &'p EntryPath) -> Result<(Rc<OwnedFd>, &'p [u8]), LayerError> {
        let (dir, name) = path.split().ok_or_else(|| LayerError::entry(b".", "takes the place of the root"))?;
        if let Some((known, fd)) = &self.parent
            && *known == dir
        {
            return Ok((fd.clone(), name));
        }
        let fd = self.dir(&dir)?;
        self.parent = Some((dir, fd.clone()));
        Ok((fd, name))
    }

    /// The directory at `path`, made if the archive did not.
    fn dir(&mut self, path: &EntryPath) -> Result<Rc<OwnedFd>, LayerError> {
        match self.tree.dir(path) {
            Ok(dir) => return Ok(Rc::new(dir)),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(Errno::XDEV | Errno::LOOP) => return Err(LayerError::entry(path.as_bytes(), LEADS_OUT)),
            Err(error) => return Err(LayerError::write("open directory", path.as_bytes(), error)),
        }
        for prefix in path.prefixes() {
            self.imply_dir(&prefix)?;
        }
        let opened = self.tree.dir(path).map_err(|e| LayerError::write("open directory", path.as_bytes(), e))?;
        Ok(Rc::new(opened))
    }

    fn imply_dir(&mut self, path: &EntryPath) -> Result<(), LayerError> {
        let failed = |e| LayerError::write("make directory", path.as_bytes(), e);
        let blocked = match self.tree.dir(path) {
            Ok(_) => return Ok(()),
            Err(Errno::NOENT) => false,
            Err(Errno::NOTDIR) => true,
            Err(Errno::XDEV | Errno::LOOP) => return Err(LayerError::entry(path.as_bytes(), LEADS_OUT)),
            Err(error) => return Err(failed(error)),
        };
        let (parent, name) = path.split().expect("prefixes are never the root");
        let parent = self.tree.dir(&parent).map_err(failed)?;
        let there = tree::stat(&parent, name).map_err(failed)?;
        if there.is_some_and(|stat| !tree::is_whiteout(&stat)) {
            let reason = if blocked {
                "is no directory, but has entries in it"
            } else {
                "is a link to nothing, but has entries in it"
            };
            return Err(LayerError::entry(path.as_bytes(), reason));
        }
        self.take(0, 1)?;
        self.make_dir(path, &parent, name)?;
        self.implied.insert(path.clone());
        let metadata = self.implied_metadata(path)?;
        self.describe_dir(path, &metadata)
    }

    fn implied_metadata(&self, path: &EntryPath) -> Result<Metadata, LayerError> {
        let below = self.lowers.map(|lowers| lowers.dir_metadata(path)).transpose();
        let below = below.map_err(|e| LayerError::write("look below for", path.as_bytes(), e))?;
        Ok(below.flatten().unwrap_or_else(Metadata::plain_dir))
    }
}

fn create_file(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))
}
