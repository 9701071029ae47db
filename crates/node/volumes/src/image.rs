//! Volumes of a fixed size: a file with an ext4 file system, attached and mounted once for all
//! instances. The file's blocks are reserved, so that written data is never lost to a full disk.
//!
//! ```text
//! <dir>/images/NAME        the file
//!   data/                  the directory for instances; beside it is the file system's lost+found
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;
use sys::loop_device::LoopDevice;
use types::mount::OWNER_DEFAULT;

use crate::error::Error;
use crate::{mounts, open};

/// Sectors of the devices and blocks of the file systems.
pub const BLOCK_BYTES: u32 = 4_096;
/// Mount options: inode tables that are not zeroed are never read, and zeroing them would punch
/// holes ([`keep_blocks`]).
pub const FLAGS: &[&str] = &["noinit_itable"];
/// The directory for instances.
const DATA: &str = "data";
/// Longest wait until the kernel releases a device of an earlier run.
const RELEASE_MAX: Duration = Duration::from_secs(10);
const RELEASE_LOOK: Duration = Duration::from_millis(20);
/// Directories searched for programs, beside the platform's `PATH`: a service may have a short one.
const PLACES: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// A mounted image.
pub struct Mounted {
    /// The directory for instances.
    pub data: OwnedFd,
    /// Its block device.
    pub device: PathBuf,
    /// Its size.
    pub size_mb: u64,
}

/// Creates the file, unless it exists.
pub fn make(file: &Path, size_mb: u64) -> Result<(), Error> {
    if file.exists() {
        return Ok(());
    }
    let beside = file.with_extension("new");
    let made = || {
        let new = File::create(&beside).map_err(Error::io("make", &beside))?;
        reserve(&new, &beside, size_mb)?;
        // With the features that growing needs later.
        make_file_system(&[], &beside)?;
        new.sync_all().and_then(|()| fs::rename(&beside, file)).map_err(Error::io("make", file))
    };
    made().inspect_err(|_| {
        fs::remove_file(&beside).ok();
    })
}

/// Mounts the file at `place`, after growing it to its size.
pub fn mount(file: &Path, place: &Path, size_mb: u64) -> Result<Mounted, Error> {
    mounts::unmount_left(place)?;
    let file = file.canonicalize().map_err(Error::io("find", file))?;
    wait_until_free(&file)?;
    let opened = OpenOptions::new().read(true).write(true).open(&file).map_err(Error::io("open", &file))?;
    lock(&opened, &file)?;
    let has = opened.metadata().map_err(Error::io("read", &file))?.len() >> 20;
    if has > size_mb {
        tracing::warn!(file = %file.display(), size_mb = has, wanted_mb = size_mb, "an image volume cannot shrink");
    }
    reserve(&opened, &file, size_mb.max(has))?;
    let size_mb = size_mb.max(has);
    if file_system_bytes(&opened).map_err(Error::io("read", &file))? < size_mb << 20 {
        run("e2fsck", &["-p", "-f"], &file, Some(&opened))?;
        run("resize2fs", &[], &file, Some(&opened))?;
        reserve(&opened, &file, size_mb)?;
    }
    let device = LoopDevice::attach_writable(opened.as_fd(), BLOCK_BYTES);
    let device = device.map_err(Error::io("attach a block device to", &file))?;
    let path = device.path().to_owned();
    let root = mounts::mount("ext4", place, &[("source", path.display().to_string())], FLAGS)?;
    keep_blocks(&path);
    let data = open::data(&root, DATA, OWNER_DEFAULT)
        .map_err(|errno| Error::io("make a directory in", &file)(errno.into()))?;
    // From here on the mount keeps the device.
    drop(device);
    Ok(Mounted { data, device: path, size_mb })
}

/// Grows a mounted image. Returns whether that is done; where the kernel does not let the platform
/// grow a mounted file system (without CAP_SYS_RESOURCE), it grows at its next mount.
pub fn grow(file: &Path, device: &Path, size_mb: u64) -> Result<bool, Error> {
    let opened = OpenOptions::new().read(true).write(true).open(file).map_err(Error::io("open", file))?;
    let before = opened.metadata().map_err(Error::io("read", file))?.len();
    // Releases the blocks that a full disk provided before the failure.
    reserve(&opened, file, size_mb).inspect_err(|_| {
        opened.set_len(before).ok();
    })?;
    opened.sync_all().map_err(Error::io("sync", file))?;
    LoopDevice::see_size(device).map_err(Error::io("grow", device))?;
    match run("resize2fs", &[], device, None) {
        // The kernel released blocks that it zeroed.
        Ok(()) => reserve(&opened, file, size_mb).map(|()| true),
        Err(Error::Unusable { problem, .. }) if problem.contains("Permission denied") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Creates an empty file system, without blocks reserved for root, which never uses it.
pub fn make_file_system(options: &[&str], on: &Path) -> Result<(), Error> {
    let lazy = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
    run("mkfs.ext4", &[&["-q", "-F", "-b", "4096", "-m", "0", "-E", lazy], options].concat(), on, None)
}

/// Makes a mounted file system write zeros itself: zeroing through a loop device would punch holes
/// in the file, whose blocks are reserved.
pub fn keep_blocks(device: &Path) {
    let Some(name) = device.file_name() else { return };
    let path = Path::new("/sys/fs/ext4").join(name).join("extent_max_zeroout_kb");
    if let Err(error) = fs::write(&path, "0") {
        tracing::warn!(path = %path.display(), %error, "an image may lose some of the blocks that are reserved for it");
    }
}

/// Size of the file system in an image, by its superblock (fs/ext4/ext4.h).
fn file_system_bytes(file: &File) -> io::Result<u64> {
    const SUPERBLOCK: u64 = 1_024;
    let word = |offset: u64| {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, SUPERBLOCK + offset)?;
        Ok::<_, io::Error>(u64::from(u32::from_le_bytes(bytes)))
    };
    let (low, high, log_block) = (word(0x4)?, word(0x150)?, word(0x18)?);
    Ok((high << 32 | low) << (10 + log_block.min(6)))
}

/// Reserves the blocks of a file of this size; it never shrinks.
pub fn reserve(file: &File, path: &Path, size_mb: u64) -> Result<(), Error> {
    let bytes = size_mb << 20;
    fallocate(file, FallocateFlags::empty(), 0, bytes).map_err(|errno| match errno {
        Errno::NOSPC => Error::DiskFull { path: path.to_owned(), size_mb },
        Errno::OPNOTSUPP => Error::Unusable {
            path: path.to_owned(),
            problem: "its file system reserves no blocks; put the data directory on ext4, xfs or btrfs".to_owned(),
        },
        errno => Error::io("reserve blocks of", path)(errno.into()),
    })
}

/// Waits until the file is not attached: mounting it twice would corrupt its file system.
fn wait_until_free(file: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + RELEASE_MAX;
    while let Some(device) = attached(file) {
        if Instant::now() >= deadline {
            let problem = format!("the block device {device} still has it; end what uses that");
            return Err(Error::Unusable { path: file.to_owned(), problem });
        }
        thread::sleep(RELEASE_LOOK);
    }
    Ok(())
}

/// Waits for programs of an earlier run that still use a file, and locks it against others of this
/// platform as long as the file is open, also as a block device.
fn lock(opened: &File, file: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + RELEASE_MAX;
    loop {
        match flock(opened, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(RELEASE_LOOK),
            Err(Errno::WOULDBLOCK) => {
                let problem = "another program is at work on it; start again when that has ended".to_owned();
                return Err(Error::Unusable { path: file.to_owned(), problem });
            }
            locked => return locked.map_err(|errno| Error::io("lock", file)(errno.into())),
        }
    }
}

/// The block device that a file is attached to.
fn attached(file: &Path) -> Option<String> {
    fs::read_dir("/sys/block").ok()?.flatten().find_map(|entry| {
        let backing = fs::read_to_string(entry.path().join("loop/backing_file")).ok()?;
        (Path::new(backing.trim_end_matches('\n')) == file).then(|| entry.file_name().to_string_lossy().into_owned())
    })
}

/// Whether [`run`] finds a program.
pub fn is_there(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&format!("{path}:{PLACES}")).any(|dir| dir.join(program).is_file())
}

/// Runs a program of e2fsprogs on a file. It inherits the locked file, so that the lock is held as
/// long as it runs, even after the platform ended.
fn run(program: &str, args: &[&str], on: &Path, locked: Option<&File>) -> Result<(), Error> {
    let stdin = match locked {
        None => Stdio::null(),
        Some(file) => file.try_clone().map_err(Error::io("hand over", on))?.into(),
    };
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.args(args).arg(on).env("PATH", format!("{path}:{PLACES}")).stdin(stdin);
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::Unusable {
            path: on.to_owned(),
            problem: format!("{program} is not on this machine; install e2fsprogs"),
        },
        _ => Error::io("run a program on", on)(error),
    })?;
    // e2fsck(8): 1 is "errors were corrected".
    if output.status.success() || (program == "e2fsck" && output.status.code() == Some(1)) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Unusable { path: on.to_owned(), problem: format!("{program} failed: {said}") })
}
