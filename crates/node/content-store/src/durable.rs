//! Durable files: after a crash they are complete or absent. They are written to a draft, synced,
//! renamed, and the directory is synced.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::Error;

/// Writes `bytes` to `path`, replacing an existing file. `draft` is an unused path on the same file
/// system.
pub(crate) fn write(path: &Path, draft: &Path, bytes: &[u8]) -> Result<(), Error> {
    let written = File::create(draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let placed = written.map_err(|e| Error::io("write", draft, e)).and_then(|()| place(draft, path));
    if placed.is_err() {
        // The first error is returned; the next start removes a leftover draft.
        let _ = fs::remove_file(draft);
    }
    placed
}

/// Renames a synced `draft` to `path`, durably.
pub(crate) fn place(draft: &Path, path: &Path) -> Result<(), Error> {
    fs::rename(draft, path).map_err(|e| Error::io("rename into place", path, e))?;
    sync_parent(path)
}

/// Makes the last change in the parent directory of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().expect("every path here is below the store's directory");
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(|e| Error::io("sync", parent, e))
}
