//! Volumes in memory: one file system for all instances.

use std::os::fd::OwnedFd;
use std::path::Path;

use types::mount::OWNER_DEFAULT;

use crate::config::VolumeSettings;
use crate::error::Error;
use crate::mounts;

/// Files for each MB: enough for files of one page each.
const FILES_PER_MB: u64 = 256;
const FILES_MIN: u64 = 1_024;

/// Mounts a tmpfs at `place`, and opens it.
pub fn mount(place: &Path, settings: &VolumeSettings) -> Result<OwnedFd, Error> {
    let size_mb = settings.size_mb.unwrap_or_default();
    let mode = settings.mode_bits().unwrap_or(0o755);
    let files = size_mb.saturating_mul(FILES_PER_MB).max(FILES_MIN);
    let options = [
        ("size", format!("{size_mb}m")),
        ("nr_inodes", files.to_string()),
        ("mode", format!("{mode:o}")),
        ("uid", OWNER_DEFAULT.to_string()),
        ("gid", OWNER_DEFAULT.to_string()),
    ];
    mounts::mount("tmpfs", place, &options, &[])
}
