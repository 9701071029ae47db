//! Probes how instances can mount a directory: by an idmapped mount, or as it is.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::fstatfs;
use sys::Stack;
use sys::namespace::{IdRange, UserNamespace};

use crate::error::Error;

/// Number of users and groups that an instance has on disk, from its own on.
pub const IDS: u32 = 65_536;
/// An unused id, as the host's side of a map for probing.
const TRIED: u32 = 65_534;

/// Names of file systems by their magic numbers (linux/magic.h, and the file systems' own).
const NAMES: &[(i64, &str)] = &[
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x794C_7630, "overlay"),
    (0x6969, "nfs"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb"),
    (0x6573_5546, "fuse"),
    (0x9584_58F6, "hugetlbfs"),
    (0x2FC1_2FC1, "zfs"),
    (0x00C3_6400, "ceph"),
    (0x0102_1997, "9p"),
    (0x4D44, "vfat"),
    (0xE0F5_E1E2, "erofs"),
    (0x9FA0, "proc"),
];

/// Those that no server is behind: ext4, xfs, btrfs, tmpfs, zfs.
const LOCAL: [i64; 5] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x2FC1_2FC1];

/// Refuses a directory that cannot be mounted with mapped ids, unless they are not to be.
pub fn check(dir: &OwnedFd, path: &Path, squash: bool) -> Result<(), Error> {
    let userns = if squash { None } else { Some(userns()?) };
    match sys::mount::bind(dir.as_fd(), false, userns.map(AsFd::as_fd)) {
        Ok(_) => Ok(()),
        Err(error) if userns.is_some() && error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            let problem = format!(
                "it is on {}, which this kernel mounts without mapped ids; if it gives all files to one user \
                 (all_squash), set squash = true, else use a directory on ext4, xfs or btrfs",
                file_system(dir)
            );
            Err(Error::Unusable { path: path.to_owned(), problem })
        }
        Err(error) => {
            let problem = format!("it is on {} and cannot be mounted: {error}", file_system(dir));
            Err(Error::Unusable { path: path.to_owned(), problem })
        }
    }
}

/// A user namespace for probing.
fn userns() -> Result<&'static OwnedFd, Error> {
    static MADE: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(made) = MADE.get() {
        return Ok(made);
    }
    let ids = [IdRange { inside: TRIED, outside: TRIED, count: 1 }];
    let made = Stack::new()
        .and_then(|mut stack| UserNamespace { owner: TRIED, users: &ids, groups: &ids, limits: &[] }.make(&mut stack));
    let made = made.map_err(Error::io("make", "a user namespace to try volumes with"))?;
    Ok(MADE.get_or_init(|| made))
}

/// Whether a directory is on a file system of this machine's disks or memory.
pub(crate) fn is_local(dir: &OwnedFd) -> bool {
    fstatfs(dir).is_ok_and(|stat| LOCAL.contains(&stat.f_type))
}

/// What a directory is on.
fn file_system(dir: &OwnedFd) -> String {
    let Ok(stat) = fstatfs(dir) else { return "a file system that does not answer".to_owned() };
    let known = NAMES.iter().find(|(magic, _)| *magic == stat.f_type);
    known.map_or_else(|| format!("a file system of type {:#x}", stat.f_type), |(_, name)| (*name).to_owned())
}
