//! Mounts of volumes with file systems of their own, below the platform's directory.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};

use crate::error::Error;

/// Mounts a new file system of a kind at `place`, replacing a leftover of an earlier run, and opens
/// it.
pub fn mount(kind: &str, place: &Path, options: &[(&str, String)], flags: &[&str]) -> Result<OwnedFd, Error> {
    unmount_left(place)?;
    fs::create_dir_all(place).map_err(Error::io("make", place))?;
    let options: Vec<_> = options.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let made = || -> Result<OwnedFd, Errno> {
        let mount = detached(kind, &options, flags)?;
        move_mount(&mount, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        Ok(mount)
    };
    made().map_err(|errno| Error::io("mount a file system at", place)(errno.into()))
}

/// Creates a new file system as a detached mount, which ends with its descriptor.
pub fn detached(kind: &str, options: &[(&str, &str)], flags: &[&str]) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value)?;
    }
    for flag in flags {
        fsconfig_set_flag(&context, *flag)?;
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Unmounts a leftover of an earlier run at `place`; running instances keep it until they end.
pub fn unmount_left(place: &Path) -> Result<(), Error> {
    match unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // No mount there, or no such path.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::io("unmount", place)(errno.into())),
    }
}

/// Unmounts the file system at `place`, and removes the mount point.
pub fn remove(place: &Path) -> Result<(), Error> {
    unmount_left(place)?;
    // A directory that is in use or not empty stays.
    fs::remove_dir(place).ok();
    Ok(())
}
