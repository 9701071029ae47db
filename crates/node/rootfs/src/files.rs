//! Writes a tree of layers as plain files. Blocks.
//!
//! The tree is already merged and every path in it is clean, so nothing is ever opened through a
//! link: each directory is created here, and opened by its name in its parent, or by a path for
//! which the kernel follows no link.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use erofs::{Extent, Kind, Meta, Tree, Visit};
use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, SeekFrom, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

/// Writes `tree`, whose data are in `devices`, to a new directory at `root`; durable on return.
pub(crate) fn write(tree: &Tree, devices: &[PathBuf], root: &Path) -> Result<(), layer_index::Error> {
    let failed = |e: std::io::Error| layer_index::Error::write("open", b".", e);
    let devices = devices.iter().map(File::open).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    std::fs::create_dir(root).map_err(failed)?;
    let top = File::open(root).map_err(failed)?.into();
    let mut writer = Writer { devices, open: vec![(Vec::new(), top)], linked: HashMap::new(), times: Vec::new(), root };
    tree.walk(|visit| writer.write(&visit))?;
    writer.finish()
}

struct Writer<'a> {
    devices: Vec<File>,
    /// The current directory and its ancestors, outermost first, by their paths.
    open: Vec<(Vec<u8>, OwnedFd)>,
    /// First path of each inode that has several.
    linked: HashMap<u64, Vec<u8>>,
    /// Times of directories, set at the end since each entry changes them.
    times: Vec<(Vec<u8>, (i64, u32))>,
    root: &'a Path,
}

impl Writer<'_> {
    fn write(&mut self, visit: &Visit<'_>) -> Result<(), layer_index::Error> {
        let path = visit.path;
        let failed = |operation| move |e: Errno| layer_index::Error::write(operation, path, e);
        if path.is_empty() {
            let (_, root) = &self.open[0];
            set_open(root, visit.meta).map_err(failed("set owner and mode of"))?;
            self.times.push((Vec::new(), time(visit.meta)));
            return Ok(());
        }
        let name = self.enter(path);
        let (_, dir) = self.open.last().expect("the root stays open");
        if visit.links > 1 && !matches!(visit.kind, Kind::Directory) {
            if let Some(first) = self.linked.get(&visit.inode) {
                let (_, root) = &self.open[0];
                let (there, first) = inside(root, first).map_err(failed("find the target of"))?;
                return fs::linkat(there, first, dir, name, AtFlags::empty()).map_err(failed("link"));
            }
            self.linked.insert(visit.inode, path.to_vec());
        }
        let special = |kind, device| fs::mknodat(dir, name, kind, Mode::from_raw_mode(0o600), device);
        match visit.kind {
            Kind::Directory => return self.directory(path, name, visit.meta),
            Kind::File { size, data } => return self.file(path, name, *size, *data, visit.meta),
            Kind::Symlink { target } => fs::symlinkat(target.as_slice(), dir, name),
            Kind::CharDevice { major, minor } => special(FileType::CharacterDevice, fs::makedev(*major, *minor)),
            Kind::BlockDevice { major, minor } => special(FileType::BlockDevice, fs::makedev(*major, *minor)),
            Kind::Fifo => special(FileType::Fifo, 0),
            Kind::Socket => special(FileType::Socket, 0),
            Kind::HardLink { .. } | Kind::Whiteout | Kind::Opaque => unreachable!("a tree has none of these"),
        }
        .map_err(failed("make"))?;
        let link = matches!(visit.kind, Kind::Symlink { .. });
        set_named(dir, name, visit.meta, link).map_err(failed("set owner, mode and attributes of"))
    }

    /// Closes directories until the parent of `path` is the last; returns the name in it.
    fn enter<'p>(&mut self, path: &'p [u8]) -> &'p [u8] {
        let (parent, name) = match path.iter().rposition(|b| *b == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        // Directories come before their entries, so the parent was opened and is still open.
        while self.open.len() > 1 && self.open.last().is_some_and(|(open, _)| open != parent) {
            self.open.pop();
        }
        name
    }

    fn directory(&mut self, path: &[u8], name: &[u8], meta: &Meta) -> Result<(), layer_index::Error> {
        let failed = |e: Errno| layer_index::Error::write("make directory", path, e);
        let (_, dir) = self.open.last().expect("the root stays open");
        fs::mkdirat(dir, name, Mode::from_raw_mode(0o700)).map_err(failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = fs::openat(dir, name, flags, Mode::empty()).map_err(failed)?;
        set_open(&made, meta).map_err(failed)?;
        self.times.push((path.to_vec(), time(meta)));
        self.open.push((path.to_vec(), made));
        Ok(())
    }

    fn file(
        &mut self,
        path: &[u8],
        name: &[u8],
        size: u64,
        data: Option<Extent>,
        meta: &Meta,
    ) -> Result<(), layer_index::Error> {
        let failed = |e: std::io::Error| layer_index::Error::write("write", path, e);
        let (_, dir) = self.open.last().expect("the root stays open");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(dir, name, flags, Mode::from_raw_mode(0o600)).map_err(|e| failed(e.into()))?;
        let file = File::from(file);
        file.set_len(size).map_err(failed)?;
        if let Some(Extent { device, offset }) = data {
            copy(&self.devices[usize::from(device)], offset, size, &file).map_err(failed)?;
        }
        set_open(file.as_fd(), meta).map_err(|e| failed(e.into()))
    }

    fn finish(self) -> Result<(), layer_index::Error> {
        let (_, root) = &self.open[0];
        // The innermost first, because no directory changes afterwards.
        for (path, time) in self.times.iter().rev() {
            let set = inside(root, path).and_then(|(dir, name)| set_time(&dir, name, *time));
            set.map_err(|e| layer_index::Error::write("set the time of", path, e))?;
        }
        // One call for the file system instead of one for each of thousands of files.
        let dir = File::open(self.root).map_err(|e| layer_index::Error::write("open", b".", e))?;
        fs::syncfs(dir).map_err(|e| layer_index::Error::write("sync", b".", e))
    }
}

/// The parent directory of `path`, and the name in it; no link is followed, and the path stays
/// inside the root.
fn inside<'p>(root: &OwnedFd, path: &'p [u8]) -> rustix::io::Result<(OwnedFd, &'p [u8])> {
    let (dir, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&b"."[..], if path.is_empty() { b"." } else { path }),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    Ok((fs::openat2(root, dir, flags, Mode::empty(), resolve)?, name))
}

/// Copies `size` bytes that lie at `offset` of `device`; holes stay holes.
fn copy(device: &File, offset: u64, size: u64, mut file: &File) -> std::io::Result<()> {
    let end = offset + size;
    let mut at = offset;
    while at < end {
        let begin = match fs::seek(device, SeekFrom::Data(at)) {
            Ok(begin) => begin.min(end),
            // The rest is a hole.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let hole = fs::seek(device, SeekFrom::Hole(begin))?.min(end);
        fs::seek(device, SeekFrom::Start(begin))?;
        fs::seek(file, SeekFrom::Start(begin - offset))?;
        std::io::copy(&mut device.take(hole - begin), &mut file)?;
        at = hole;
    }
    Ok(())
}

fn time(meta: &Meta) -> (i64, u32) {
    (meta.mtime_s, meta.mtime_ns)
}

fn timestamps(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: mtime.0, tv_nsec: mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Sets owner and mode of an open file, then attributes and time; in this order, since a change of
/// owner clears set-uid bits and capabilities.
fn set_open(file: impl AsFd + Copy, meta: &Meta) -> rustix::io::Result<()> {
    fs::fchown(file, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))?;
    fs::fchmod(file, Mode::from_raw_mode(meta.mode.into()))?;
    for (name, value) in &meta.xattrs {
        fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty())?;
    }
    fs::futimens(file, &timestamps(time(meta)))
}

/// As [`set_open`], for the file at `name`; a link is changed itself, not followed.
fn set_named(dir: &OwnedFd, name: &[u8], meta: &Meta, link: bool) -> rustix::io::Result<()> {
    fs::chownat(dir, name, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)), AtFlags::SYMLINK_NOFOLLOW)?;
    if !link {
        fs::chmodat(dir, name, Mode::from_raw_mode(meta.mode.into()), AtFlags::empty())?;
    }
    for (key, value) in &meta.xattrs {
        fs::lsetxattr(through_fd(dir, name), key.as_slice(), value, XattrFlags::empty())?;
    }
    set_time(dir, name, time(meta))
}

fn set_time(dir: &OwnedFd, name: &[u8], mtime: (i64, u32)) -> rustix::io::Result<()> {
    fs::utimensat(dir, name, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW)
}

/// A path of `name` in `dir`, for calls that cannot take a descriptor.
fn through_fd(dir: &OwnedFd, name: &[u8]) -> PathBuf {
    Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_through_a_link_or_out_of_the_root() {
        let (root, outside) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        std::fs::create_dir_all(root.path().join("a/b")).expect("made");
        std::fs::create_dir(outside.path().join("b")).expect("made");
        std::os::unix::fs::symlink(outside.path(), root.path().join("out")).expect("made");
        std::os::unix::fs::symlink("a", root.path().join("within")).expect("made");
        let top: OwnedFd = File::open(root.path()).expect("a directory").into();
        let name = |path: &'static str| inside(&top, path.as_bytes()).map(|(_, name)| name);
        for (path, expected) in [("", "."), ("a", "a"), ("a/b", "b"), ("a/b/c", "c")] {
            assert_eq!(name(path).ok(), Some(expected.as_bytes()), "{path}");
        }
        for (path, error) in [("out/b", Errno::NOTDIR), ("within/b/c", Errno::LOOP), ("../x/y", Errno::XDEV)] {
            assert_eq!(name(path).err(), Some(error), "{path}");
        }
    }
}
