//! What an error of a read or a write says about the disk.

use std::io;

use rustix::io::Errno;

/// Whether the kernel says that the disk, or the file system on it, does not work any more.
pub fn is_failed(error: &io::Error) -> bool {
    const ERRORS: [Errno; 4] = [Errno::IO, Errno::UCLEAN, Errno::ROFS, Errno::NXIO];
    error.raw_os_error().is_some_and(|code| ERRORS.iter().any(|errno| errno.raw_os_error() == code))
}

/// Whether the kernel refused a write for want of room.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
