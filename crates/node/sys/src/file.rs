//! Files, where `rustix` has no call: early write-back (`sync_file_range(2)`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Asks the kernel to begin writing a range of dirty pages to the disk, without waiting for it. It promises nothing:
/// `fdatasync(2)` does, and finds less to do.
pub fn start_write_back(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<()> {
    let (offset, len) = (i64::try_from(offset).unwrap_or(i64::MAX), i64::try_from(len).unwrap_or(i64::MAX));
    // SAFETY: the descriptor is borrowed for the call, which takes numbers only.
    let result = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
