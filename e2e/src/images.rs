//! Folders and archives that become images.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::tools;

/// A folder that becomes an image's root.
pub struct Folder(TempDir);

impl Folder {
    /// An empty folder.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("sampan-image-").tempdir()?))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Copies a file in.
    pub fn copy(&self, from: &Path, to: &str) -> anyhow::Result<&Self> {
        let target = self.0.path().join(to);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::copy(from, target).with_context(|| format!("cannot copy {}", from.display()))?;
        Ok(self)
    }

    /// Writes a file.
    pub fn write(&self, to: &str, content: &[u8]) -> anyhow::Result<&Self> {
        let target = self.0.path().join(to);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(target, content)?;
        Ok(self)
    }
}

/// A folder with the static server as `/hello`.
pub fn hello_folder() -> anyhow::Result<Folder> {
    let folder = Folder::new()?;
    folder.copy(&tools::hello(), "hello")?;
    Ok(folder)
}

/// An OCI layout of the static server, made with `sampan`'s own types: one gzip layer, one config.
pub async fn hello_layout(into: &Path) -> anyhow::Result<PathBuf> {
    let folder = hello_folder()?;
    let layout = into.join("hello-layout");
    let script = format!(
        "set -e; c=$(buildah --storage-driver vfs --root {root} --runroot {run} from scratch); \
         buildah --storage-driver vfs --root {root} --runroot {run} copy $c {hello} /hello >/dev/null; \
         buildah --storage-driver vfs --root {root} --runroot {run} config --entrypoint '[\"/hello\"]' $c; \
         buildah --storage-driver vfs --root {root} --runroot {run} commit $c oci:{layout}:v1 >/dev/null; \
         buildah --storage-driver vfs --root {root} --runroot {run} rm $c >/dev/null",
        root = into.join("buildah-root").display(),
        run = into.join("buildah-run").display(),
        hello = folder.path().join("hello").display(),
        layout = layout.display(),
    );
    tools::run_ok(tools::command("sh").args(["-c", &script])).await?;
    Ok(layout)
}
