//! A detached tree of read-only mounts, assembled ahead of the start that attaches it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use crate::calls::{check, move_mount_at, new_mount, set_attributes, set_attributes_below};
use crate::mount::tree_at;
use crate::mount_attributes::{Attributes, DATA_ONLY, PRIVATE, READ_ONLY};

/// The mounts; the kernel removes them when this is dropped, unless a child attaches them.
#[derive(Debug)]
pub struct ReadOnlyTree {
    pub(crate) root: OwnedFd,
    /// Mounts that the child has to attach below the root: none where the kernel attaches mounts to
    /// detached ones (Linux 6.15).
    pub(crate) left: Vec<Branch>,
}

/// A mount, and its mount point below the root.
#[derive(Debug)]
pub(crate) struct Branch {
    pub name: CString,
    pub mount: OwnedFd,
}

impl ReadOnlyTree {
    /// A copy of one directory, relative to another, without the mounts below it.
    pub fn of(at: BorrowedFd<'_>, dir: &Path) -> io::Result<Self> {
        let root = tree_at(at, dir)?;
        seal(&root)?;
        Ok(Self { root, left: Vec::new() })
    }

    /// A tmpfs in which each name is a copy of a directory, and each link leads to one of the
    /// names.
    pub fn of_each(dirs: &[(&str, (BorrowedFd<'_>, &Path))], links: &[(&str, &str)]) -> io::Result<Self> {
        let root = container(dirs, links)?;
        let mut left = Vec::new();
        for (name, (at, dir)) in dirs {
            let branch = Branch { name: text(name)?, mount: tree_at(*at, dir)? };
            match move_mount_at(branch.mount.as_raw_fd(), root.as_raw_fd(), &branch.name) {
                Ok(()) => {}
                Err(libc::EINVAL) => {
                    seal(&branch.mount)?;
                    left.push(branch);
                }
                Err(errno) => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
        // Including everything that was attached.
        set_attributes_below(root.as_raw_fd(), &SEALED).map_err(io::Error::from_raw_os_error)?;
        Ok(Self { root, left })
    }
}

const SEALED: Attributes = Attributes { set: READ_ONLY | DATA_ONLY, clear: 0, propagation: PRIVATE, userns_fd: 0 };

fn seal(mount: &OwnedFd) -> io::Result<()> {
    set_attributes(mount.as_raw_fd(), &SEALED).map_err(io::Error::from_raw_os_error)
}

/// The tmpfs with its mount points and links, which stay the same.
fn container(dirs: &[(&str, (BorrowedFd<'_>, &Path))], links: &[(&str, &str)]) -> io::Result<OwnedFd> {
    // The number of inodes limits its size too, because it has no files.
    let options = text(&format!("mode=755,nr_inodes={}", 1 + dirs.len() + links.len()))?;
    let made = new_mount(c"tmpfs", Some(&options), DATA_ONLY).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the descriptor is new and has no other owner.
    let root = unsafe { OwnedFd::from_raw_fd(made) };
    for (name, _) in dirs {
        let name = text(name)?;
        // SAFETY: the name is terminated.
        check(unsafe { libc::mkdirat(made, name.as_ptr(), 0o755) }.into()).map_err(io::Error::from_raw_os_error)?;
    }
    for (name, target) in links {
        let (name, target) = (text(name)?, text(target)?);
        // SAFETY: both are terminated; the descriptor is the new mount.
        check(unsafe { libc::symlinkat(target.as_ptr(), made, name.as_ptr()) }.into())
            .map_err(io::Error::from_raw_os_error)?;
    }
    Ok(root)
}

fn text(value: &str) -> io::Result<CString> {
    Ok(CString::new(value)?)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
    use rustix::io::Errno;

    use super::*;

    fn create(tree: &ReadOnlyTree, name: &str) -> Result<OwnedFd, Errno> {
        openat(&tree.root, name, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR)
    }

    #[test]
    fn copies_show_what_is_in_a_directory_and_take_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("there"), "yes").expect("written");
        let alone = ReadOnlyTree::of(CWD.as_fd(), folder.path()).expect("copied");
        openat(&alone.root, "there", OFlags::RDONLY, Mode::empty()).expect("it is there");
        assert_eq!(create(&alone, "new").expect_err("refused"), Errno::ROFS);
        let tree = ReadOnlyTree::of_each(&[("a,b", (CWD.as_fd(), folder.path()))], &[("a", "a,b")]).expect("made");
        assert_eq!(readlinkat(&tree.root, "a", Vec::new()).expect("a link").as_bytes(), b"a,b");
        for place in ["new", "a,b/new"] {
            assert_eq!(create(&tree, place).expect_err("refused"), Errno::ROFS, "{place}");
        }
        if tree.left.is_empty() {
            openat(&tree.root, "a/there", OFlags::RDONLY, Mode::empty()).expect("it is attached");
        }
    }
}
