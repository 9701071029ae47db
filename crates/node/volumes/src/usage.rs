//! Measures the usage of a volume.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstatvfs, openat, statat};
use rustix::io::Errno;

/// Maximum depth of directories.
const DEPTH_MAX: usize = 128;

/// Usage of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes on disk.
    pub bytes: u64,
    /// Files and directories.
    pub files: u64,
    /// Total size of its file system, in bytes.
    pub size_bytes: u64,
    /// Free space of its file system, in bytes.
    pub free_bytes: u64,
    /// Whether the measurement ended early, so that the usage is higher.
    pub cut_short: bool,
}

/// Adds up the files below a directory, within a time limit. Files that disappear meanwhile do not
/// count; links are not followed, and other file systems not entered.
pub fn of(dir: &OwnedFd, longest: Duration) -> Result<Usage, Errno> {
    let free = fstatvfs(dir)?;
    let bytes = |blocks: u64| blocks.saturating_mul(free.f_frsize);
    let mut usage = Usage { size_bytes: bytes(free.f_blocks), free_bytes: bytes(free.f_bavail), ..Usage::default() };
    let deadline = Instant::now() + longest;
    let device = statat(dir, "", AtFlags::EMPTY_PATH)?.st_dev;
    let top = openat(dir, ".", READ, Mode::empty())?;
    add(&top, (device, deadline), 0, &mut usage)?;
    Ok(usage)
}

const READ: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn add(dir: &OwnedFd, (device, deadline): (u64, Instant), depth: usize, usage: &mut Usage) -> Result<(), Errno> {
    for entry in Dir::read_from(dir)?.flatten() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if depth >= DEPTH_MAX || Instant::now() >= deadline {
            usage.cut_short = true;
            return Ok(());
        }
        let Ok(stat) = statat(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        usage.files += 1;
        usage.bytes += u64::try_from(stat.st_blocks).unwrap_or_default() * 512;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            && stat.st_dev == device
            && let Ok(below) = openat(dir, name, READ, Mode::empty())
        {
            // Unreadable directories do not count.
            add(&below, (device, deadline), depth + 1, usage).ok();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_below_counts_and_links_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("a")).expect("made");
        std::fs::write(folder.path().join("a/b"), vec![7; 100_000]).expect("written");
        symlink("/", folder.path().join("a/all")).expect("made");
        let dir = OwnedFd::from(std::fs::File::open(folder.path()).expect("opened"));
        let usage = of(&dir, Duration::from_secs(60)).expect("read");
        assert_eq!((usage.files, usage.cut_short), (3, false));
        assert!((100_000..10_000_000).contains(&usage.bytes), "{usage:?}");
        assert!(of(&dir, Duration::ZERO).expect("read").cut_short);
    }
}
