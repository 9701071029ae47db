//! Mounts root file systems, each once for all users.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Instant;

use content_store::{Error, LayerName, Layers, RootfsFacts};
use parking_lot::Mutex;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};
use sys::loop_device::LoopDevice;

use crate::method::Method;

/// Bytes of a sector of a loop device: the block size of the images.
const SECTOR_BYTES: u32 = 512;

/// A mounted root file system; unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    path: PathBuf,
    /// A detached mount.
    _detached: Option<OwnedFd>,
    /// Its mount point, to be unmounted at the end.
    attached: Option<PathBuf>,
}

impl Mounted {
    /// A path in this process for mounting or opening it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Mounts an EROFS image with its devices.
    pub(crate) fn erofs(method: Method, metadata: &Path, devices: &[PathBuf], mounts: &Path) -> io::Result<Self> {
        // Descriptors, not paths: an option has at most 255 bytes, and the path of a data directory
        // may be longer.
        let open = |path: &Path| File::open(path);
        let files = std::iter::once(metadata).chain(devices.iter().map(PathBuf::as_path));
        let files = files.map(open).collect::<io::Result<Vec<_>>>()?;
        let mut loops = Vec::new();
        let mut sources = Vec::with_capacity(files.len());
        for file in &files {
            sources.push(match method {
                Method::ErofsLoop => {
                    let device = LoopDevice::attach(file.as_fd(), SECTOR_BYTES)?;
                    let path = device.path().to_owned();
                    loops.push(device);
                    path
                }
                _ => fd_path(file),
            });
        }
        let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_flag(&context, "ro")?;
        let (source, devices) = sources.split_first().expect("the metadata are the first");
        fsconfig_set_string(&context, "source", source.as_path())?;
        for device in devices {
            fsconfig_set_string(&context, "device", device.as_path())?;
        }
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOATIME;
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        if method == (Method::Erofs { detached: true }) {
            return Ok(Self { path: fd_path(&mount), _detached: Some(mount), attached: None });
        }
        let path = mounts.join(uuid::Uuid::new_v4().as_simple().to_string());
        fs::create_dir(&path)?;
        let mounted = Self { path: path.clone(), _detached: None, attached: Some(path.clone()) };
        move_mount(&mount, "", CWD, &path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        Ok(mounted)
    }

    fn files(path: PathBuf) -> Self {
        Self { path, _detached: None, attached: None }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(path) = &self.attached {
            // Instances keep a detached mount until their end; the next start removes leftovers.
            let _ = unmount(path, UnmountFlags::DETACH);
            let _ = fs::remove_dir(path);
        }
    }
}

fn fd_path(fd: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Copies the mount at `path` as each instance does, and drops the copy.
pub(crate) fn copy(path: &Path) -> io::Result<()> {
    open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    Ok(())
}

/// Unmounts leftovers of an earlier run below `mounts`, and removes the mount points.
///
/// # Errors
/// `Io`.
pub fn unmount_left(mounts: &Path) -> Result<(), Error> {
    let failed = |operation, path: &Path, error: io::Error| Error::io(operation, path, error);
    for entry in fs::read_dir(mounts).map_err(|e| failed("list", mounts, e))? {
        let path = entry.map_err(|e| failed("list", mounts, e))?.path();
        match unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // It was not mounted yet, or no longer.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(failed("unmount", &path, error.into())),
        }
        fs::remove_dir(&path).map_err(|e| failed("remove", &path, e))?;
    }
    Ok(())
}

/// The current mounts.
pub struct Mounts {
    method: Method,
    dir: PathBuf,
    mounted: Mutex<HashMap<LayerName, Weak<Mounted>>>,
}

impl Mounts {
    /// Mounts by `method`, with mount points below `dir` if needed.
    pub fn new(method: Method, dir: PathBuf) -> Self {
        Self { method, dir, mounted: Mutex::default() }
    }

    /// The method of mounting.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Drops all mounts: each ends with its last user, and later requests mount again.
    pub fn forget_all(&self) {
        self.mounted.lock().clear();
    }

    /// The root file system `name` of `layers`, mounted if it is not yet. Blocks for some
    /// microseconds.
    ///
    /// # Errors
    /// `Io`.
    pub fn mount(&self, layers: &Layers, name: &LayerName, facts: &RootfsFacts) -> Result<Arc<Mounted>, Error> {
        if !self.method.is_erofs() {
            return Ok(Arc::new(Mounted::files(layers.root(name))));
        }
        let mut mounted = self.mounted.lock();
        if let Some(there) = mounted.get(name).and_then(Weak::upgrade) {
            return Ok(there);
        }
        mounted.retain(|_, mount| mount.strong_count() > 0);
        let devices: Vec<_> = facts.devices.iter().map(|device| layers.device(device)).collect();
        let metadata = layers.metadata(name);
        let begun = Instant::now();
        let new = Mounted::erofs(self.method, &metadata, &devices, &self.dir);
        let new = Arc::new(new.map_err(|e| Error::io("mount", &metadata, e))?);
        tracing::debug!(devices = devices.len(), took = ?begun.elapsed(), "a root file system is mounted");
        mounted.insert(name.clone(), Arc::downgrade(&new));
        Ok(new)
    }
}
