//! A layer's directory through descriptors: every path is opened by the kernel with `openat2`, beneath the layer's
//! root, and never through a link that leads out of it. Must not know archives.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::path::EntryPath;

/// What overlayfs takes for "nothing is here any more": a character device 0/0.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

pub(super) fn is_dir(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// What overlayfs takes for "nothing below is seen here", on a directory. In a user namespace of its own overlayfs
/// would read `user.overlay.opaque` instead, with the mount option `userxattr`; mount from the initial one.
pub(super) const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// Owner, mode, time and attributes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Metadata {
    /// Those of a directory that no layer describes.
    pub(super) fn plain_dir() -> Self {
        Self { mode: 0o755, uid: 0, gid: 0, mtime: (0, 0), xattrs: Vec::new() }
    }

    /// Whether another has the same, apart from its time.
    pub(super) fn same_but_time(&self, other: &Self) -> bool {
        (self.mode, self.uid, self.gid, &self.xattrs) == (other.mode, other.uid, other.gid, &other.xattrs)
    }
}

/// The directory of a layer.
pub(super) struct Tree {
    root: OwnedFd,
}

impl Tree {
    pub(super) fn open(root: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: fs::open(root, flags, Mode::empty())? })
    }

    /// Opens the directory at `path`. `EXDEV` or `ELOOP` when it leads out of the layer, `ENOTDIR` when it is none.
    pub(super) fn dir(&self, path: &EntryPath) -> rustix::io::Result<OwnedFd> {
        let name = if path.is_root() { b"." } else { path.as_bytes() };
        fs::openat2(
            &self.root,
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        )
    }

    /// Makes all that was written durable.
    pub(super) fn sync(&self) -> rustix::io::Result<()> {
        // One call for the file system instead of one for each of thousands of files.
        fs::syncfs(&self.root)
    }
}

/// What is at `name`, not following a link; `None` for nothing.
pub(super) fn stat(dir: impl AsFd, name: &[u8]) -> rustix::io::Result<Option<Stat>> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes what is at `name`, with all that is in it.
pub(super) fn remove(dir: &OwnedFd, name: &[u8]) -> std::io::Result<()> {
    match fs::unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => std::fs::remove_dir_all(through_fd(dir, name)),
        done => Ok(done?),
    }
}

/// A path that names `name` in `dir` whatever happens to the paths above it; only calls that cannot take a descriptor
/// use it.
fn through_fd(dir: &OwnedFd, name: &[u8]) -> PathBuf {
    Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(OsStr::from_bytes(name))
}

fn timestamps(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: mtime.0, tv_nsec: mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// Sets owner and mode of an open file, then attributes and time; in this order, since a change of owner clears set-uid
/// bits and capabilities.
pub(super) fn set_open(file: impl AsFd + Copy, metadata: &Metadata) -> rustix::io::Result<()> {
    fs::fchown(file, Some(Uid::from_raw(metadata.uid)), Some(Gid::from_raw(metadata.gid)))?;
    fs::fchmod(file, Mode::from_raw_mode(metadata.mode))?;
    for (name, value) in metadata.xattrs.iter().filter(|(name, _)| is_kept(name)) {
        fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty())?;
    }
    fs::futimens(file, &timestamps(metadata.mtime))
}

/// As [`set_open`], for what is at `name`; a link itself rather than what it points to.
pub(super) fn set_named(dir: &OwnedFd, name: &[u8], metadata: &Metadata, link: bool) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(metadata.uid), Gid::from_raw(metadata.gid));
    fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if !link {
        fs::chmodat(dir, name, Mode::from_raw_mode(metadata.mode), AtFlags::empty())?;
    }
    for (key, value) in metadata.xattrs.iter().filter(|(key, _)| is_kept(key)) {
        fs::lsetxattr(through_fd(dir, name), key.as_slice(), value, XattrFlags::empty())?;
    }
    set_time(dir, name, metadata.mtime)
}

/// Sets the time of what is at `name`.
pub(super) fn set_time(dir: &OwnedFd, name: &[u8], mtime: (i64, u32)) -> rustix::io::Result<()> {
    fs::utimensat(dir, name, &timestamps(mtime), AtFlags::SYMLINK_NOFOLLOW)
}

/// Attributes that belong to an image. Overlayfs' own would let a layer redirect lookups; labels of a security module
/// are for the machine they were made on.
fn is_kept(name: &[u8]) -> bool {
    const KEPT: [&[u8]; 3] = [b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default"];
    let overlay = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
    !overlay && (name.starts_with(b"user.") || name.starts_with(b"trusted.") || KEPT.contains(&name))
}

/// Marks a directory as opaque.
pub(super) fn set_opaque(dir: impl AsFd) -> rustix::io::Result<()> {
    fs::fsetxattr(dir, OPAQUE_XATTR, b"y", XattrFlags::empty())
}

/// Whether an open directory is opaque.
pub(super) fn is_opaque(dir: impl AsFd) -> rustix::io::Result<bool> {
    let mut value = [0; 4];
    match fs::fgetxattr(dir, OPAQUE_XATTR, &mut value[..]) {
        Ok(len) => Ok(value[..len] == *b"y"),
        Err(Errno::NODATA | Errno::RANGE | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Metadata of an open file or directory, without what is overlayfs' own.
pub(super) fn metadata(file: impl AsFd + Copy) -> rustix::io::Result<Metadata> {
    const NAMES_BYTES: usize = 64 << 10;
    let stat = fs::fstat(file)?;
    let mut names = vec![0u8; NAMES_BYTES];
    let len = match fs::flistxattr(file, &mut names[..]) {
        Err(Errno::NOTSUP) => 0,
        len => len?,
    };
    let mut xattrs = Vec::new();
    for name in names[..len].split(|b| *b == 0).filter(|name| !name.is_empty() && is_kept(name)) {
        let mut value = vec![0u8; NAMES_BYTES];
        let len = fs::fgetxattr(file, name, &mut value[..])?;
        value.truncate(len);
        xattrs.push((name.to_vec(), value));
    }
    xattrs.sort();
    let mtime = (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).expect("nanoseconds are below a second"));
    Ok(Metadata { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime, xattrs })
}
