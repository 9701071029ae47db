//! Files that take long to make, made once and kept below `target/e2e`. Must not know what they are.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::tools;

/// The file of that name, which `make` makes in a folder of its own when it is not there yet. A name says all that the
/// content depends on.
pub async fn file(name: &str, make: impl AsyncFnOnce(&Path) -> anyhow::Result<PathBuf>) -> anyhow::Result<PathBuf> {
    let folder = tools::workspace().join("target/e2e");
    let file = folder.join(name);
    if !file.exists() {
        std::fs::create_dir_all(&folder)?;
        let work = tempfile::Builder::new().prefix("making-").tempdir_in(&folder)?;
        let made = make(work.path()).await.with_context(|| format!("cannot make {}", file.display()))?;
        // Renamed when whole, so that an interrupted run leaves no half file to be used.
        std::fs::rename(made, &file)?;
    }
    Ok(file)
}
