//! Directories of instances, opened relative to the platform's, which are opened once: an absolute
//! path would be resolved again with every call.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::io::Errno;

/// Only the platform writes into a directory.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);
/// The kernel provides the files; tests create them.
const FILE_MODE: Mode = Mode::from_raw_mode(0o644);

/// The platform's directory in one hierarchy.
#[derive(Debug)]
pub struct Parent {
    fd: OwnedFd,
    path: PathBuf,
}

impl Parent {
    /// Opens the directory.
    pub fn open(path: PathBuf) -> io::Result<Arc<Self>> {
        let fd = openat(CWD, &path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Arc::new(Self { fd, path }))
    }
}

/// The directory of one instance in one hierarchy; cheap to clone.
#[derive(Debug, Clone)]
pub struct Directory {
    parent: Arc<Parent>,
    name: Arc<str>,
}

impl Directory {
    /// The directory of a name, whether it exists or not.
    pub fn new(parent: Arc<Parent>, name: Arc<str>) -> Self {
        Self { parent, name }
    }

    /// Its path, for messages and rare operations.
    pub fn path(&self) -> PathBuf {
        self.parent.path.join(&*self.name)
    }

    /// The parent directory and its name in it.
    pub fn place(&self) -> (BorrowedFd<'_>, &Path) {
        (self.parent.fd.as_fd(), Path::new(&*self.name))
    }

    /// Whether both are in one hierarchy, and thus the same directory of one instance.
    pub fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.parent, &other.parent)
    }

    /// Creates it, unless it exists.
    pub fn make(&self) -> io::Result<()> {
        match mkdirat(&self.parent.fd, &*self.name, DIRECTORY_MODE) {
            Err(Errno::EXIST) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Removes it when it is empty; returns whether it is gone.
    pub fn is_removed(&self) -> bool {
        matches!(unlinkat(&self.parent.fd, &*self.name, AtFlags::REMOVEDIR), Ok(()) | Err(Errno::NOENT))
    }

    /// Opens the directory itself.
    pub fn open(&self) -> io::Result<OwnedFd> {
        Ok(openat(&self.parent.fd, &*self.name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Opens a file in it.
    pub fn open_file(&self, file: &str, flags: OFlags) -> io::Result<File> {
        let name = format!("{}/{file}", self.name);
        Ok(openat(&self.parent.fd, name, flags | OFlags::CLOEXEC, FILE_MODE)?.into())
    }

    /// Writes a file in it.
    pub fn write(&self, file: &str, value: &str) -> io::Result<()> {
        self.open_file(file, WRITTEN)?.write_all(value.as_bytes())
    }

    /// Reads a file in it.
    pub fn read(&self, file: &str) -> io::Result<String> {
        let mut text = String::new();
        self.open_file(file, OFlags::RDONLY)?.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// The kernel's files exist or do not; tests create them.
pub const WRITTEN: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::TRUNC);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_written_read_and_removed_below_its_parent_wherever_that_is_moved() {
        let tree = tempfile::tempdir().expect("a folder");
        let ours = tree.path().join("ours");
        std::fs::create_dir(&ours).expect("made");
        let parent = Parent::open(ours.clone()).expect("opened");
        let directory = Directory::new(parent.clone(), "7".into());
        assert_eq!(directory.path(), ours.join("7"));
        directory.make().and_then(|()| directory.make()).expect("made, and there already");
        directory.write("pids.max", "1024").expect("written");
        directory.write("pids.max", "9").expect("written");
        assert_eq!(directory.read("pids.max").expect("read"), "9");
        assert!(!directory.is_removed(), "something is in it");
        std::fs::rename(&ours, tree.path().join("moved")).expect("renamed");
        assert_eq!(directory.read("pids.max").expect("read"), "9", "by the descriptor");
        std::fs::remove_file(tree.path().join("moved/7/pids.max")).expect("removed");
        assert!(directory.is_removed() && directory.is_removed());
        let other = Directory::new(Parent::open(tree.path().to_owned()).expect("opened"), "7".into());
        assert!(directory.is_beside(&Directory::new(parent, "7".into())) && !directory.is_beside(&other));
        assert_eq!(other.read("none").expect_err("there is none").kind(), io::ErrorKind::NotFound);
    }
}
