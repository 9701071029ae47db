//! Mounts as file descriptors, where `rustix` has no call: attributes and identity maps
//! (`mount_setattr(2)`).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::calls::{clone_itself, new_mount, set_attributes};
use crate::mount_attributes::{Attributes, DATA_ONLY, IDMAP, NO_DEVICES, NO_SUID, PRIVATE, READ_ONLY};

/// A detached `/proc` of the platform's own pid namespace, without masks.
pub fn new_proc() -> io::Result<OwnedFd> {
    let fd = new_mount(c"proc", None, DATA_ONLY | READ_ONLY).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A detached tmpfs with options as `mount(8)` takes them, without set-id bits and devices.
pub fn new_tmpfs(options: &CStr) -> io::Result<OwnedFd> {
    let fd = new_mount(c"tmpfs", Some(options), NO_SUID | NO_DEVICES).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a detached mount read-only.
pub fn make_read_only(mount: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = Attributes { set: READ_ONLY, ..Attributes::default() };
    set_attributes(mount.as_raw_fd(), &attributes).map_err(io::Error::from_raw_os_error)
}

/// A detached copy of the mount at `path`.
pub fn tree(path: &Path) -> io::Result<OwnedFd> {
    tree_at(CWD, path)
}

/// The same for a path relative to the directory `at`.
pub(crate) fn tree_at(at: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    Ok(open_tree(at, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?)
}

/// A detached copy of the mount at `path` in which ids appear as the user namespace maps them: an
/// inode of id 0 appears to belong to the namespace's root (`mount_setattr(2)`, idmapped mounts;
/// Linux 5.12, overlay on top of it 5.19).
pub fn idmapped_tree(path: &Path, userns: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let tree = tree(path)?;
    let attributes = Attributes {
        set: IDMAP,
        userns_fd: u64::try_from(userns.as_raw_fd()).unwrap_or_default(),
        ..Attributes::default()
    };
    // SAFETY: the structure is of the size given; the empty path with AT_EMPTY_PATH names the
    // descriptor itself.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&attributes),
            size_of::<Attributes>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(tree) }
}

/// A detached mount of the directory `dir`, without the mounts below it: without set-id bits and
/// devices, private, so that later mounts over the original do not appear in it. With a user
/// namespace, ids on disk appear as it maps them; `EINVAL` where the file system cannot
/// (`mount_setattr(2)`).
pub fn bind(dir: BorrowedFd<'_>, read_only: bool, userns: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let fd = clone_itself(dir.as_raw_fd()).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the descriptor is new and has no other owner.
    let tree = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut attributes = Attributes { set: NO_SUID | NO_DEVICES, propagation: PRIVATE, ..Attributes::default() };
    if read_only {
        attributes.set |= READ_ONLY;
    }
    if let Some(userns) = userns {
        attributes.set |= IDMAP;
        attributes.userns_fd = u64::try_from(userns.as_raw_fd()).unwrap_or_default();
    }
    set_attributes(tree.as_raw_fd(), &attributes).map_err(io::Error::from_raw_os_error)?;
    Ok(tree)
}
