//! Classifies errors of reads and writes by the state of the disk.

use std::io;

use rustix::io::Errno;

/// Whether the error means that the disk, or the file system on it, has failed.
pub fn is_failed(error: &io::Error) -> bool {
    const ERRORS: [Errno; 4] = [Errno::IO, Errno::UCLEAN, Errno::ROFS, Errno::NXIO];
    error.raw_os_error().is_some_and(|code| ERRORS.iter().any(|errno| errno.raw_os_error() == code))
}

/// Whether a write failed for lack of space.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
