//! Mounts of an instance that are created ahead of its start, because they depend on its ids and
//! its network only: the writable layer's, devices, terminals, shared memory, `/tmp`, `/sys`. Each
//! is a file system of its own, and creating one takes longer than attaching it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::calls::{
    Done, check, clone_tree, close, cover, give, make_dir, move_mount_at, new_mount, reconfigure, set_attributes,
};
use crate::mount_attributes::{Attributes, DATA_ONLY, IDMAP, NO_DEVICES, NO_EXECUTION, NO_SUID, READ_ONLY};
use crate::mount_thread::MountThread;
use crate::umask::without_umask;

/// A character device.
pub struct Device {
    /// Its name in `/dev`.
    pub name: &'static CStr,
    /// Major number: its driver.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// A symbolic link in `/dev`.
pub struct DevLink {
    /// Its target.
    pub target: &'static CStr,
    /// Its name in `/dev`.
    pub name: &'static CStr,
}

/// Options of the mounts, as `mount(2)` takes them, and their content.
pub struct Options {
    /// Options of the tmpfs that the root is built on, which holds the writable layer: its size
    /// limits the layer.
    pub stage: CString,
    /// Options of the tmpfs at `/dev`.
    pub dev: CString,
    /// Devices in `/dev`.
    pub devices: &'static [Device],
    /// Links in `/dev`.
    pub dev_links: &'static [DevLink],
    /// Options of the devpts at `/dev/pts`.
    pub terminals: CString,
    /// Options of the tmpfs at `/dev/shm`.
    pub shared_memory: CString,
    /// Options of the tmpfs at `/tmp`.
    pub tmp: CString,
    /// Directories below `/sys` that an empty one covers.
    pub masked_sys: Vec<CString>,
    /// Whether to assemble the mounts now where possible, and not in each start.
    pub assemble: bool,
}

/// The detached mounts: the kernel removes them when this is dropped, unless a child attaches them.
pub struct InstanceMounts {
    pub(crate) stage: OwnedFd,
    pub(crate) dev: OwnedFd,
    pub(crate) terminals: OwnedFd,
    pub(crate) shared_memory: OwnedFd,
    pub(crate) tmp: OwnedFd,
    pub(crate) sys: OwnedFd,
    /// Mounts that the child has to attach over directories of `/sys`, and an empty directory
    /// read-only: `None` where the kernel attaches mounts to detached ones (Linux 6.15), because
    /// they are assembled already.
    pub(crate) left: Option<Left>,
}

/// Mounts that could not be assembled ahead.
pub(crate) struct Left {
    pub masked_sys: Vec<CString>,
}

impl InstanceMounts {
    /// Creates them for the host id `owner`, which `ids` maps root to, and `/sys` of the calling
    /// thread's network namespace; terminals on `elsewhere`.
    pub fn make(owner: u32, ids: BorrowedFd<'_>, options: &Options, elsewhere: &MountThread) -> io::Result<Self> {
        let stage = made(c"tmpfs", Some(&options.stage), NO_SUID | NO_DEVICES)?;
        let dev = made(c"tmpfs", Some(&options.dev), NO_SUID | NO_EXECUTION)?;
        without_umask(|| {
            let filled = lay_out(stage.as_raw_fd(), owner).and_then(|()| fill(dev.as_raw_fd(), options));
            filled.map_err(io::Error::from_raw_os_error)
        })?;
        own_devices(dev.as_raw_fd(), owner, ids, options).map_err(io::Error::from_raw_os_error)?;
        let mut mounts = Self {
            stage,
            dev,
            terminals: elsewhere.devpts(options.terminals.clone(), NO_SUID | NO_EXECUTION)?,
            shared_memory: made(c"tmpfs", Some(&options.shared_memory), NO_SUID | NO_DEVICES)?,
            tmp: made(c"tmpfs", Some(&options.tmp), NO_SUID | NO_DEVICES)?,
            sys: made(c"sysfs", None, DATA_ONLY | READ_ONLY)?,
            left: None,
        };
        own_terminals(mounts.terminals.as_raw_fd(), owner).map_err(io::Error::from_raw_os_error)?;
        if !options.assemble || !mounts.assemble(options).map_err(io::Error::from_raw_os_error)? {
            mounts.left = Some(Left { masked_sys: options.masked_sys.clone() });
        }
        Ok(mounts)
    }

    /// Replaces the file system for `/tmp`.
    pub fn replace_tmp(&mut self, tmp: OwnedFd) {
        self.tmp = tmp;
    }

    /// Changes the size of `/dev/shm`.
    pub fn resize_shared_memory(&self, bytes: u64) -> io::Result<()> {
        let size = CString::new(bytes.to_string()).map_err(|_| io::ErrorKind::InvalidInput)?;
        reconfigure(self.shared_memory.as_raw_fd(), c"size", &size).map_err(io::Error::from_raw_os_error)
    }

    /// Assembles the mounts; returns whether this kernel can.
    fn assemble(&self, options: &Options) -> Result<bool, i32> {
        let stage = self.stage.as_raw_fd();
        match seal_empty(stage) {
            Err(libc::EINVAL) => return Ok(false),
            other => other?,
        }
        mask_sys(self.sys.as_raw_fd(), stage, &options.masked_sys)?;
        Ok(true)
    }
}

/// Makes the directory that covers masked ones read-only, and so its copies.
pub(crate) fn seal_empty(stage: RawFd) -> Done {
    cover(stage, stage::EMPTY, clone_tree(stage, stage::EMPTY)?, READ_ONLY | DATA_ONLY)
}

/// Covers existing directories of `/sys` with the empty one of the stage. They are the kernel's, so
/// that the paths have no link of the image.
pub(crate) fn mask_sys(sys: RawFd, stage: RawFd, masked: &[CString]) -> Done {
    let mut left = None;
    for name in masked {
        let empty = left.take().map_or_else(|| clone_tree(stage, stage::EMPTY), Ok)?;
        match move_mount_at(empty, sys, name) {
            // The copy serves the next one.
            Err(libc::ENOENT | libc::ENOTDIR) => left = Some(empty),
            covered => {
                close(empty);
                covered?;
            }
        }
    }
    if let Some(empty) = left {
        close(empty);
    }
    Ok(())
}

fn made(kind: &CStr, options: Option<&CStr>, attributes: u64) -> io::Result<OwnedFd> {
    let fd = new_mount(kind, options, attributes).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Names of the stage's directories.
pub(crate) mod stage {
    use std::ffi::CStr;

    /// The writable layer.
    pub const UPPER: &CStr = c"u";
    /// The work directory of the overlay.
    pub const WORK: &CStr = c"w";
    /// Mount point of the root.
    pub const ROOT: &CStr = c"r";
    /// Covers masked directories.
    pub const EMPTY: &CStr = c"m";
    /// Mount points of lower layers: enough for most images.
    pub const LOWERS: [&CStr; 4] = [c"l0", c"l1", c"l2", c"l3"];
}

/// Creates the directories of the writable layer and the root, and the one that covers masked
/// directories.
fn lay_out(at: RawFd, owner: u32) -> Done {
    // It becomes the root directory inside.
    make_dir(at, stage::UPPER, owner)?;
    // The others are invisible inside: they belong to the host's root, which no id of the instance
    // maps to.
    let places = [stage::WORK, stage::ROOT].into_iter().chain(stage::LOWERS).map(|name| (name, 0o755));
    places.chain([(stage::EMPTY, 0)]).try_for_each(|(name, mode)| {
        // SAFETY: the name is a constant; the descriptor is the mount just made.
        check(unsafe { libc::mkdirat(at, name.as_ptr(), mode) }.into())
    })
}

/// A devpts belongs to its creator, here the host's root, who is unmapped inside. Terminals
/// themselves belong to the process that opens them.
fn own_terminals(terminals: RawFd, owner: u32) -> Done {
    give(terminals, c".", owner)?;
    give(terminals, c"ptmx", owner)
}

/// Sets a mode, independent of the daemon's umask.
pub(crate) fn mode(at: RawFd, name: &CStr, mode: libc::mode_t) -> Done {
    // SAFETY: the name is terminated.
    check(unsafe { libc::fchmodat(at, name.as_ptr(), mode, 0) }.into())
}

/// Mount points in `/dev`.
const DEV_PLACES: [&CStr; 2] = [c"pts", c"shm"];

/// Creates devices, links and mount points.
fn fill(dev: RawFd, options: &Options) -> Done {
    for Device { name, major, minor } in options.devices {
        let (mode, device) = (libc::S_IFCHR | 0o666, libc::makedev(*major, *minor));
        // SAFETY: the name is terminated; the descriptor is the new mount.
        check(unsafe { libc::mknodat(dev, name.as_ptr(), mode, device) }.into())?;
    }
    for DevLink { target, name } in options.dev_links {
        // SAFETY: both are terminated; the descriptor is the new mount.
        check(unsafe { libc::symlinkat(target.as_ptr(), dev, name.as_ptr()) }.into())?;
    }
    DEV_PLACES.iter().try_for_each(|name| {
        // SAFETY: the name is a constant; the descriptor is the new mount.
        check(unsafe { libc::mkdirat(dev, name.as_ptr(), 0o755) }.into())
    })
}

/// Makes the instance's root the owner of `/dev` and its content: by an idmapped mount where the
/// kernel supports that for tmpfs (Linux 6.3), which is one call for all.
fn own_devices(dev: RawFd, owner: u32, ids: BorrowedFd<'_>, options: &Options) -> Done {
    let userns_fd = u64::try_from(ids.as_raw_fd()).unwrap_or_default();
    match set_attributes(dev, &Attributes { set: IDMAP, userns_fd, ..Attributes::default() }) {
        Err(libc::EINVAL) => give_devices(dev, owner, options),
        other => other,
    }
}

/// Changes the owners one by one.
fn give_devices(dev: RawFd, owner: u32, options: &Options) -> Done {
    let devices = options.devices.iter().map(|device| device.name);
    let links = options.dev_links.iter().map(|link| link.name);
    devices.chain(links).chain(DEV_PLACES).chain([c"."]).try_for_each(|name| give(dev, name, owner))
}
