//! Attributes of mounts (`mount_setattr(2)`, linux/mount.h).

/// `MOUNT_ATTR_RDONLY`, `NOSUID`, `NODEV`, `NOEXEC`.
pub(crate) const READ_ONLY: u64 = 0x1;
pub(crate) const NO_SUID: u64 = 0x2;
pub(crate) const NO_DEVICES: u64 = 0x4;
pub(crate) const NO_EXECUTION: u64 = 0x8;
/// Attributes of file systems that hold data only, no programs or devices.
pub(crate) const DATA_ONLY: u64 = NO_SUID | NO_DEVICES | NO_EXECUTION;
/// `MS_PRIVATE` (linux/mount.h): later mounts over the original do not appear in the copy.
pub(crate) const PRIVATE: u64 = libc::MS_PRIVATE;
/// `MOUNT_ATTR_IDMAP`.
pub(crate) const IDMAP: u64 = 0x0010_0000;

/// `struct mount_attr`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Attributes {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
    pub userns_fd: u64,
}
