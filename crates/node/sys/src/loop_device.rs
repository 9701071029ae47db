//! Loop devices: a file as a block device (`loop(4)`), for kernels that mount from devices only.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// `LOOP_CTL_GET_FREE` and `LOOP_CONFIGURE` (linux/loop.h; the second since Linux 5.8).
const CTL_GET_FREE: libc::Ioctl = 0x4C82;
const CONFIGURE: libc::Ioctl = 0x4C0A;
/// `LOOP_SET_CAPACITY`.
const SET_CAPACITY: libc::Ioctl = 0x4C07;
const FLAG_READ_ONLY: u32 = 1;
const FLAG_AUTOCLEAR: u32 = 4;
const FLAG_DIRECT_IO: u32 = 16;
/// Attempts to attach: another program may take the free device that the kernel returned.
const TRIES_MAX: usize = 64;

/// `struct loop_info64` (linux/loop.h).
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` (linux/loop.h).
#[repr(C)]
struct Setup {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// A file as a block device. The kernel detaches it when this is dropped and its last user, such as
/// a mount, is gone.
#[derive(Debug)]
pub struct LoopDevice {
    path: PathBuf,
    _open: File,
}

impl LoopDevice {
    /// Creates a read-only device of `file`, with sectors of `block_bytes`. An incomplete last
    /// sector is not visible.
    ///
    /// # Errors
    /// The kernel's error; `EBUSY` when other programs take each free device first.
    pub fn attach(file: BorrowedFd<'_>, block_bytes: u32) -> io::Result<Self> {
        Self::attach_with(file, block_bytes, FLAG_READ_ONLY | FLAG_AUTOCLEAR)
    }

    /// Creates a writable device, with direct I/O where the file's file system supports it: pages
    /// are then cached by the file system on the device alone, and accounted there.
    ///
    /// # Errors
    /// As for [`Self::attach`].
    pub fn attach_writable(file: BorrowedFd<'_>, block_bytes: u32) -> io::Result<Self> {
        Self::attach_with(file, block_bytes, FLAG_AUTOCLEAR | FLAG_DIRECT_IO)
    }

    /// Updates the device's size after its file has grown.
    ///
    /// # Errors
    /// The kernel's error.
    pub fn see_size(path: &Path) -> io::Result<()> {
        let device = OpenOptions::new().read(true).write(true).open(path)?;
        // SAFETY: the call takes no argument.
        let result = unsafe { libc::ioctl(device.as_raw_fd(), SET_CAPACITY, 0) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn attach_with(file: BorrowedFd<'_>, block_bytes: u32, flags: u32) -> io::Result<Self> {
        let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
        for _ in 0..TRIES_MAX {
            // SAFETY: the call takes no argument and returns a number.
            let number = unsafe { libc::ioctl(control.as_raw_fd(), CTL_GET_FREE) };
            if number < 0 {
                return Err(io::Error::last_os_error());
            }
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = OpenOptions::new().read(true).write(flags & FLAG_READ_ONLY == 0).open(&path)?;
            match configure(&device, file, block_bytes, flags) {
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                configured => return configured.map(|()| Self { path, _open: device }),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EBUSY))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn configure(device: &File, file: BorrowedFd<'_>, block_bytes: u32, flags: u32) -> io::Result<()> {
    let setup = Setup {
        fd: u32::try_from(file.as_raw_fd()).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?,
        block_size: block_bytes,
        info: Info {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: the structure is the one that the call reads, and outlives it.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), CONFIGURE, std::ptr::from_ref(&setup)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
