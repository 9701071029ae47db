//! Secrets of an instance as files: a tmpfs of its own at `/run/secrets`, filled before it is
//! attached and immutable afterwards. Each file is readable by the instance's user alone.
//!
//! Its pages are never swapped where the kernel supports that (Linux 6.4).

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{Gid, Mode, OFlags, Uid, chownat, fchmod, fchown, mkdirat, openat};

use crate::spec::SecretFile;

/// Mount point of the secrets.
pub const DIR: &str = "/run/secrets";
/// Mode of a file.
const FILE_MODE: u32 = 0o400;
/// Mode of directories.
const DIR_MODE: u32 = 0o755;
/// Bytes of a page at most; each file takes whole ones.
const PAGE_BYTES: u64 = 64 << 10;

/// Whether the kernel supports tmpfs without swap; probed once.
pub fn is_never_swapped() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| sys::mount::new_tmpfs(c"size=64k,noswap").is_ok())
}

/// Creates the file system with these files, which belong to the host ids `owner`; its directories
/// belong to `root`.
pub fn file_system(files: &[SecretFile], owner: (u32, u32), root: (u32, u32)) -> io::Result<OwnedFd> {
    let bytes: u64 = files.iter().map(|file| file.content.reveal().len() as u64 + 2 * PAGE_BYTES).sum();
    let inodes = 1 + files.iter().map(|file| file.path.split('/').count()).sum::<usize>();
    let no_swap = if is_never_swapped() { ",noswap" } else { "" };
    let (uid, gid) = root;
    let options = format!("size={bytes},nr_inodes={},mode={DIR_MODE:o},uid={uid},gid={gid}{no_swap}", inodes + 1);
    let mount = sys::mount::new_tmpfs(&CString::new(options)?)?;
    let mut made = BTreeSet::new();
    for file in files {
        for (end, _) in file.path.match_indices('/') {
            let dir = &file.path[..end];
            if made.insert(dir) {
                mkdirat(&mount, dir, Mode::from_raw_mode(DIR_MODE))?;
                chown(&mount, dir, root)?;
            }
        }
        write(&mount, file, owner)?;
    }
    sys::mount::make_read_only(mount.as_fd())?;
    Ok(mount)
}

fn write(mount: &OwnedFd, file: &SecretFile, (uid, gid): (u32, u32)) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut made = File::from(openat(mount, file.path.as_str(), flags, Mode::empty())?);
    made.write_all(file.content.reveal())?;
    fchown(&made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    // Independent of the platform's umask.
    Ok(fchmod(&made, Mode::from_raw_mode(FILE_MODE))?)
}

fn chown(mount: &OwnedFd, dir: &str, (uid, gid): (u32, u32)) -> io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    chownat(mount, dir, uid, gid, rustix::fs::AtFlags::empty())?;
    let opened = openat(mount, dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(fchmod(&opened, Mode::from_raw_mode(DIR_MODE))?)
}
