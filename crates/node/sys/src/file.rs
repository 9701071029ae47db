//! Files, where `rustix` has no call: early write-back (`sync_file_range(2)`), fs-verity
//! (`ioctl(2)`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Starts the write-back of a range of dirty pages without waiting for it. Only `fdatasync(2)`
/// makes the data durable, and has less left to write then.
pub fn start_write_back(file: BorrowedFd<'_>, offset: u64, len: u64) -> io::Result<()> {
    let (offset, len) = (i64::try_from(offset).unwrap_or(i64::MAX), i64::try_from(len).unwrap_or(i64::MAX));
    // SAFETY: the descriptor is borrowed for the call, which takes numbers only.
    let result = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `struct fsverity_enable_arg` (linux/fsverity.h).
#[repr(C)]
struct EnableVerity {
    version: u32,
    hash_algorithm: u32,
    block_bytes: u32,
    salt_bytes: u32,
    salt: u64,
    signature_bytes: u32,
    reserved1: u32,
    signature: u64,
    reserved2: [u64; 11],
}

/// `_IOW('f', 133, struct fsverity_enable_arg)`.
const FS_IOC_ENABLE_VERITY: libc::Ioctl = 0x4080_6685_u32 as libc::Ioctl;
const FS_VERITY_HASH_ALG_SHA256: u32 = 1;
const VERITY_BLOCK_BYTES: u32 = 4096;

/// Enables fs-verity for a file that is not open for writing
/// (Documentation/filesystems/fsverity.rst): it can never be written to again, and reading changed
/// data fails with `EIO`. Takes as long as reading all of it. Succeeds if it is enabled already.
pub fn enable_verity(file: BorrowedFd<'_>) -> io::Result<()> {
    let argument = EnableVerity {
        version: 1,
        hash_algorithm: FS_VERITY_HASH_ALG_SHA256,
        block_bytes: VERITY_BLOCK_BYTES,
        salt_bytes: 0,
        salt: 0,
        signature_bytes: 0,
        reserved1: 0,
        signature: 0,
        reserved2: [0; 11],
    };
    // SAFETY: the descriptor is borrowed for the call; the argument is the structure of this ioctl,
    // of its full size, lives through the call, and contains no pointer in use, since both lengths
    // in it are zero.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_ENABLE_VERITY, &raw const argument) };
    match result {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn verity_is_on_or_refused_with_a_reason_that_says_it_is_not_there() {
        assert_eq!(size_of::<EnableVerity>(), 0x80, "the size in the ioctl's number");
        let path = std::env::temp_dir().join(format!("verity-{}", std::process::id()));
        std::fs::write(&path, "content").expect("written");
        let enabled = enable_verity(std::fs::File::open(&path).expect("there").as_fd());
        let writable = std::fs::OpenOptions::new().write(true).open(&path).is_ok();
        std::fs::remove_file(&path).expect("removed");
        match enabled.map_err(|error| error.raw_os_error()) {
            Ok(()) => assert!(!writable),
            Err(code) => assert!(matches!(code, Some(libc::ENOTTY | libc::EOPNOTSUPP)), "{code:?}"),
        }
    }
}
