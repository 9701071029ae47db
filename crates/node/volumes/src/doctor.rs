//! Checks which kinds of volumes this machine supports, and how to enable the others.

use std::fs;
use std::path::Path;

use crate::config::{Config, Kind};
use crate::image::is_there;
use crate::{open, probe};

/// Result of the check.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The supported kinds.
    pub found: String,
    /// Missing kinds, and how to enable them; empty if all are supported.
    pub remedy: String,
}

/// Checks directories in `dir`, images, and the directories of the settings.
pub fn doctor(dir: &Path, config: &Config) -> Found {
    let (mut found, mut remedies) = (Vec::new(), Vec::new());
    match open::volume(dir).and_then(|opened| probe::check(&opened, dir, false)) {
        Ok(()) => found.push("directories"),
        Err(error) => remedies.push(error.report()),
    }
    match images() {
        Ok(()) => found.push("images, /tmp on disk"),
        Err(remedy) => remedies.push(remedy),
    }
    for (name, settings) in config.named.iter().filter(|(_, settings)| settings.kind == Kind::Dir) {
        // The platform creates missing ones when it starts.
        let Some(path) = settings.path.as_deref().filter(|path| path.exists()) else { continue };
        if let Err(error) = open::volume(path).and_then(|opened| probe::check(&opened, path, settings.squash)) {
            remedies.push(format!("[volumes.{name}]: {}", error.report()));
        }
    }
    Found { found: found.join(", "), remedy: remedies.join("; ") }
}

/// The reason why images are not supported.
fn images() -> Result<(), String> {
    let missing: Vec<&str> =
        ["mkfs.ext4", "e2fsck", "resize2fs"].into_iter().filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        return Err(format!("{} is not on this machine; install e2fsprogs for images", missing.join(", ")));
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("there are no loop devices (/dev/loop-control) for images; load the module loop".to_owned());
    }
    let systems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if systems.lines().any(|line| line.trim() == "ext4") {
        return Ok(());
    }
    Err("this kernel shows no ext4 for images; load the module ext4".to_owned())
}
