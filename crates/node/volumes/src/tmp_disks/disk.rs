//! One disk: an unnamed file with a copy of an empty file system, attached and mounted.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, SeekFrom, chmodat, copy_file_range, open, seek, unlinkat};
use rustix::io::Errno;
use sys::loop_device::LoopDevice;

use crate::error::Error;
use crate::image::{BLOCK_BYTES, FLAGS, keep_blocks, make_file_system, reserve};
use crate::mounts;

/// Mode of `/tmp`.
const MODE: Mode = Mode::from_raw_mode(0o1777);
/// Without features for crash recovery or growing; an inode for each 16 kB.
const OPTIONS: &[&str] = &["-O", "^resize_inode,^has_journal", "-I", "256", "-i", "16384"];

/// An empty file system of a size, created unless it exists.
pub fn template(dir: &Path, size_mb: u64) -> Result<PathBuf, Error> {
    let path = dir.join(format!("template-{size_mb}"));
    if path.exists() {
        return Ok(path);
    }
    let beside = path.with_extension("new");
    let made = || {
        let new = File::create(&beside).map_err(Error::io("make", &beside))?;
        new.set_len(size_mb << 20).map_err(Error::io("make", &beside))?;
        make_file_system(OPTIONS, &beside)?;
        fs::rename(&beside, &path).map_err(Error::io("make", &path))
    };
    made().inspect_err(|_| {
        fs::remove_file(&beside).ok();
    })?;
    Ok(path)
}

/// Creates a disk, as a detached mount.
pub fn make(dir: &Path, template: &Path, size_mb: u64) -> Result<OwnedFd, Error> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let image = open(dir, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| Error::io("make a file without a name in", dir)(errno.into()))?;
    let image = File::from(image);
    // Reserved blocks that are not written read as zeros, whatever they contained before.
    reserve(&image, dir, size_mb)?;
    copy(template, &image).map_err(|errno| Error::io("copy", template)(errno.into()))?;
    let device = LoopDevice::attach_writable(image.as_fd(), BLOCK_BYTES);
    let device = device.map_err(Error::io("attach a block device to a file in", dir))?;
    let source = device.path().display().to_string();
    let mount = mounts::detached("ext4", &[("source", &source)], FLAGS)
        .map_err(|errno| Error::io("mount a disk for /tmp in", dir)(errno.into()))?;
    keep_blocks(device.path());
    let opened = || {
        unlinkat(&mount, "lost+found", AtFlags::REMOVEDIR)?;
        chmodat(&mount, ".", MODE, AtFlags::empty())
    };
    opened().map_err(|errno| Error::io("prepare a disk for /tmp in", dir)(errno.into()))?;
    // From here on the mount keeps the device.
    drop(device);
    Ok(mount)
}

/// Copies the data of a sparse file, without its holes.
fn copy(from: &Path, to: &File) -> Result<(), Errno> {
    let from =
        OpenOptions::new().read(true).open(from).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let mut at = 0;
    loop {
        let begin = match seek(&from, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => return Ok(()),
            begin => begin?,
        };
        at = seek(&from, SeekFrom::Hole(begin))?;
        let (mut read, mut written) = (begin, begin);
        while read < at {
            let left = usize::try_from(at - read).unwrap_or(usize::MAX);
            if copy_file_range(&from, Some(&mut read), to, Some(&mut written), left)? == 0 {
                return Err(Errno::IO);
            }
        }
    }
}
