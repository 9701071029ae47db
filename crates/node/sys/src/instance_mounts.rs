//! Mounts of an instance that are made before its start, because they depend only on its host ids
//! and network namespace: the writable layer, devices, terminals, shared memory, `/tmp`, `/sys`.
//! Each is a file system of its own, and making one takes longer than attaching it.

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
    /// Number of its driver.
    pub major: u32,
    /// Number within that.
    pub minor: u32,
}

/// A symbolic link in `/dev`.
pub struct DevLink {
    /// Its target.
    pub target: &'static CStr,
    /// Its name in `/dev`.
    pub name: &'static CStr,
}

/// Options of the mounts, as `mount(2)` takes them, and what is in them.
pub struct Options {
    /// Of the tmpfs that the root is built on, which holds the writable layer: its size is the
    /// layer's bound.
    pub stage: CString,
    /// Of the tmpfs at `/dev`.
    pub dev: CString,
    /// Devices in that.
    pub devices: &'static [Device],
    /// Links beside them.
    pub dev_links: &'static [DevLink],
    /// Of the devpts at `/dev/pts`.
    pub terminals: CString,
    /// Of the tmpfs at `/dev/shm`.
    pub shared_memory: CString,
    /// Of the tmpfs at `/tmp`.
    pub tmp: CString,
    /// Directories below `/sys` that are covered by an empty one.
    pub masked_sys: Vec<CString>,
    /// Attach mounts to each other in advance where the kernel can, instead of in each start.
    pub assemble: bool,
}

/// The mounts, detached: dropping this unmounts them unless a child attached them.
pub struct InstanceMounts {
    pub(crate) stage: OwnedFd,
    pub(crate) dev: OwnedFd,
    pub(crate) terminals: OwnedFd,
    pub(crate) shared_memory: OwnedFd,
    pub(crate) tmp: OwnedFd,
    pub(crate) sys: OwnedFd,
    /// The directories of `/sys` that the child has to cover, and the empty read-only directory for
    /// that; empty where the kernel can attach mounts to detached ones (Linux 6.15), since they are
    /// covered already.
    pub(crate) left: Option<Left>,
}

/// Mounts that could not be attached to each other in advance.
pub(crate) struct Left {
    pub masked_sys: Vec<CString>,
}

impl InstanceMounts {
    /// Makes them for the host id `owner`, which `ids` maps root to, and `/sys` of the calling
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

    /// Gives `/dev/shm` another size than the one it was made with.
    pub fn resize_shared_memory(&self, bytes: u64) -> io::Result<()> {
        let size = CString::new(bytes.to_string()).map_err(|_| io::ErrorKind::InvalidInput)?;
        reconfigure(self.shared_memory.as_raw_fd(), c"size", &size).map_err(io::Error::from_raw_os_error)
    }

    /// Attaches the mounts to each other; returns whether this kernel can.
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

/// Makes what covers masked directories read-only: its copies are, too.
pub(crate) fn seal_empty(stage: RawFd) -> Done {
    cover(stage, stage::EMPTY, clone_tree(stage, stage::EMPTY)?, READ_ONLY | DATA_ONLY)
}

/// Covers those directories of `/sys` that are there with the empty one of the stage. They are the
/// kernel's, so that no link of the image's is on the way.
pub(crate) fn mask_sys(sys: RawFd, stage: RawFd, masked: &[CString]) -> Done {
    let mut left = None;
    for name in masked {
        let empty = left.take().map_or_else(|| clone_tree(stage, stage::EMPTY), Ok)?;
        match move_mount_at(empty, sys, name) {
            // Reset it for the next instance.
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
    // SAFETY: the descriptor was just made, and nothing else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The directories of the stage.
pub(crate) mod stage {
    use std::ffi::CStr;

    /// The writable layer.
    pub const UPPER: &CStr = c"u";
    /// What the overlay needs beside it.
    pub const WORK: &CStr = c"w";
    /// Where the root is mounted.
    pub const ROOT: &CStr = c"r";
    /// Covers masked directories.
    pub const EMPTY: &CStr = c"m";
    /// Where lower layers are attached: as many as most images have.
    pub const LOWERS: [&CStr; 4] = [c"l0", c"l1", c"l2", c"l3"];
}

/// The places of the writable layer and the root, and what covers masked directories.
fn lay_out(at: RawFd, owner: u32) -> Done {
    // The root directory inside is this one's.
    make_dir(at, stage::UPPER, owner)?;
    // The others are not visible inside: they stay with the host's root, which is not mapped.
    let places = [stage::WORK, stage::ROOT].into_iter().chain(stage::LOWERS).map(|name| (name, 0o755));
    places.chain([(stage::EMPTY, 0)]).try_for_each(|(name, mode)| {
        // SAFETY: the name is a constant; the descriptor is the mount just made.
        check(unsafe { libc::mkdirat(at, name.as_ptr(), mode) }.into())
    })
}

/// A devpts belongs to the process that mounts it, here the host's root, which is not mapped
/// inside. Terminals belong to the process that opens them.
fn own_terminals(terminals: RawFd, owner: u32) -> Done {
    give(terminals, c".", owner)?;
    give(terminals, c"ptmx", owner)
}

/// Sets a mode: the daemon's umask must not decide who may use what we make.
pub(crate) fn mode(at: RawFd, name: &CStr, mode: libc::mode_t) -> Done {
    // SAFETY: the name is terminated.
    check(unsafe { libc::fchmodat(at, name.as_ptr(), mode, 0) }.into())
}

/// Places of other mounts in `/dev`.
const DEV_PLACES: [&CStr; 2] = [c"pts", c"shm"];

/// Devices, links, places of other mounts.
fn fill(dev: RawFd, options: &Options) -> Done {
    for Device { name, major, minor } in options.devices {
        let (mode, device) = (libc::S_IFCHR | 0o666, libc::makedev(*major, *minor));
        // SAFETY: the name is terminated; the descriptor is the mount just made.
        check(unsafe { libc::mknodat(dev, name.as_ptr(), mode, device) }.into())?;
    }
    for DevLink { target, name } in options.dev_links {
        // SAFETY: both are terminated; the descriptor is the mount just made.
        check(unsafe { libc::symlinkat(target.as_ptr(), dev, name.as_ptr()) }.into())?;
    }
    DEV_PLACES.iter().try_for_each(|name| {
        // SAFETY: the name is a constant; the descriptor is the mount just made.
        check(unsafe { libc::mkdirat(dev, name.as_ptr(), 0o755) }.into())
    })
}

/// Makes the instance's root the owner of `/dev` and its content: by an idmapped mount where the
/// kernel supports it for tmpfs (Linux 6.3), which takes one call.
fn own_devices(dev: RawFd, owner: u32, ids: BorrowedFd<'_>, options: &Options) -> Done {
    let userns_fd = u64::try_from(ids.as_raw_fd()).unwrap_or_default();
    match set_attributes(dev, &Attributes { set: IDMAP, userns_fd, ..Attributes::default() }) {
        Err(libc::EINVAL) => give_devices(dev, owner, options),
        other => other,
    }
}

/// The same with a chown for each.
fn give_devices(dev: RawFd, owner: u32, options: &Options) -> Done {
    let devices = options.devices.iter().map(|device| device.name);
    let links = options.dev_links.iter().map(|link| link.name);
    devices.chain(links).chain(DEV_PLACES).chain([c"."]).try_for_each(|name| give(dev, name, owner))
}
