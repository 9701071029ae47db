//! Files that are wholly there after a crash, or not at all: written beside their place, synced,
//! renamed, and the directory synced.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::Error;

/// Writes `bytes` as `path`, replacing what was there. `draft` is a path on the same file system
/// that nothing else uses.
pub(crate) fn write(path: &Path, draft: &Path, bytes: &[u8]) -> Result<(), Error> {
    let written = File::create(draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let placed = written.map_err(|e| Error::io("write", draft, e)).and_then(|()| place(draft, path));
    if placed.is_err() {
        // The first error is the one to tell; a draft that stays is removed at the next start.
        let _ = fs::remove_file(draft);
    }
    placed
}

/// Moves what is at `draft`, already synced, to `path` for good.
pub(crate) fn place(draft: &Path, path: &Path) -> Result<(), Error> {
    fs::rename(draft, path).map_err(|e| Error::io("rename into place", path, e))?;
    sync_parent(path)
}

/// Makes the last change of the directory around `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().expect("every path here is below the store's directory");
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(|e| Error::io("sync", parent, e))
}
