//! Volumes in memory: one file system for all instances, mounted below our directory.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, move_mount, unmount,
};
use types::mount::OWNER_DEFAULT;

use crate::config::VolumeSettings;
use crate::error::Error;

/// Files for each MB: as many as have a page each.
const FILES_PER_MB: u64 = 256;
const FILES_MIN: u64 = 1_024;

/// Mounts one at `place`, and opens it.
pub fn mount(place: &Path, settings: &VolumeSettings) -> Result<OwnedFd, Error> {
    let failed = || Error::io("mount a tmpfs at", place);
    unmount_left(place)?;
    fs::create_dir_all(place).map_err(Error::io("make", place))?;
    let size_mb = settings.size_mb.unwrap_or_default();
    let (mode, id) = (settings.mode_bits().unwrap_or(0o755), OWNER_DEFAULT);
    let files = size_mb.saturating_mul(FILES_PER_MB).max(FILES_MIN);
    let options = [
        ("size", format!("{size_mb}m")),
        ("nr_inodes", files.to_string()),
        ("mode", format!("{mode:o}")),
        ("uid", id.to_string()),
        ("gid", id.to_string()),
    ];
    let made = || -> Result<OwnedFd, Errno> {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in &options {
            fsconfig_set_string(&context, *key, value.as_str())?;
        }
        fsconfig_create(&context)?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        move_mount(&mount, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
        Ok(mount)
    };
    made().map_err(|errno| failed()(errno.into()))
}

/// Unmounts what is at `place`, such as a crash leaves; what instances still use goes with the last
/// of them.
pub fn unmount_left(place: &Path) -> Result<(), Error> {
    match unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // Nothing is mounted there, or there is nothing.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::io("unmount", place)(errno.into())),
    }
}
