//! A cache below `target/e2e` of files that take long to build.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::tools;

/// Returns the cached file of that name; `make` builds it in a temporary folder when it is missing.
/// The name must include everything that the content depends on.
pub async fn file(name: &str, make: impl AsyncFnOnce(&Path) -> anyhow::Result<PathBuf>) -> anyhow::Result<PathBuf> {
    let folder = tools::workspace().join("target/e2e");
    let file = folder.join(name);
    if !file.exists() {
        std::fs::create_dir_all(&folder)?;
        let work = tempfile::Builder::new().prefix("making-").tempdir_in(&folder)?;
        let made = make(work.path()).await.with_context(|| format!("cannot make {}", file.display()))?;
        // Renamed when complete, so that an interrupted run leaves no partial file.
        std::fs::rename(made, &file)?;
    }
    Ok(file)
}
