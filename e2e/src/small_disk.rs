//! A small file system for tests of a full disk.

use std::ffi::CString;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// A mounted small file system; unmounted on drop.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts a file system of `size`, such as `48m`.
    pub fn make(size: &str) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("sampan-small-").tempdir()?;
        let options = CString::new(format!("size={size}"))?;
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), Some(options.as_c_str()))?;
        Ok(Self(dir))
    }

    /// Its mount point.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes until ENOSPC.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(self.0.path().join("filling"))?;
        let block = vec![1; 64 << 10];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        Ok(())
    }

    /// Removes what [`SmallDisk::fill`] wrote.
    pub fn make_room(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.0.path().join("filling"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a failed test may have open files in it.
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}
