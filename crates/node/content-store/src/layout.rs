//! Where things are on disk.
//!
//! ```text
//! <dir>/                         0700: root file systems hold set-uid files of strangers
//!   blobs/<64 hex digits>        one file per SHA-256 digest, complete and verified
//!   pins/<64 hex digits>.json    {"owner", "digest", "keeps_rootfs"}, named by SHA-256(owner)
//!   layers/<name>/               one layer or root file system, see `layer_name`
//!   reach/<64 hex digits>.json   what a pinned document leads to, see `reachable`
//!   mounts/<uuid>                where root file systems are mounted, if they need a place
//!   damaged/<ms>-<kind>-<name>   damaged content, by Unix milliseconds, see `quarantine`
//!   drafts/<uuid>                all that is half-made or half-removed; emptied at start
//!   scrubbed                     empty; its time is when all was last verified
//!   clean                        empty; there from a clean stop to the next start
//! ```
//! Nothing is ever changed in place: things are made in `drafts`, synced, and renamed.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use types::Digest;

use crate::Error;
use crate::durable;

/// The paths of one store.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Creates missing directories and removes drafts of an earlier run.
    ///
    /// # Errors
    /// `Io`, `DiskFull`.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        // Mount options and workers need absolute paths.
        let dir = std::path::absolute(dir).map_err(|e| Error::io("find", dir, e))?;
        let layout = Self { dir };
        layout.make(&layout.dir)?;
        fs::set_permissions(&layout.dir, fs::Permissions::from_mode(0o700))
            .map_err(|e| Error::io("set the mode of", &layout.dir, e))?;
        let drafts = layout.drafts();
        if drafts.exists() {
            fs::remove_dir_all(&drafts).map_err(|e| Error::io("remove", &drafts, e))?;
        }
        for path in [
            drafts,
            layout.blobs(),
            layout.pins(),
            layout.layers(),
            layout.mounts(),
            layout.damaged(),
            layout.reachables(),
        ] {
            layout.make(&path)?;
        }
        Ok(layout)
    }

    fn make(&self, path: &Path) -> Result<(), Error> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path).map_err(|e| Error::io("make directory", path, e))
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    /// The file of a blob.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.dir.join("pins")
    }

    /// The file of a pin. An owner may be longer than a file name and have any character, so the
    /// name is a hash of it.
    pub(crate) fn pin(&self, owner: &str) -> PathBuf {
        self.pins().join(format!("{}.json", hex::encode(Sha256::digest(owner))))
    }

    /// The directory of layers and root file systems.
    pub fn layers(&self) -> PathBuf {
        self.dir.join("layers")
    }

    /// The directory of mount points of root file systems.
    pub fn mounts(&self) -> PathBuf {
        self.dir.join("mounts")
    }

    pub(crate) fn reachables(&self) -> PathBuf {
        self.dir.join("reach")
    }

    pub(crate) fn reachable(&self, digest: &Digest) -> PathBuf {
        self.reachables().join(format!("{}.json", digest.hex()))
    }

    pub(crate) fn scrubbed(&self) -> PathBuf {
        self.dir.join("scrubbed")
    }

    fn clean(&self) -> PathBuf {
        self.dir.join("clean")
    }

    /// Whether the last stop was clean, or there was none; marks the store as unclean from now on.
    ///
    /// # Errors
    /// `Io`.
    pub fn begin(&self) -> Result<bool, Error> {
        let path = self.clean();
        match fs::remove_file(&path) {
            Ok(()) => durable::sync_parent(&path).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_empty = |dir: PathBuf| fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
                Ok(is_empty(self.layers()) && is_empty(self.blobs()))
            }
            Err(error) => Err(Error::io("remove", &path, error)),
        }
    }

    /// Records a clean stop on disk.
    ///
    /// # Errors
    /// `Io`, `DiskFull`.
    pub fn end(&self) -> Result<(), Error> {
        durable::write(&self.clean(), &self.draft(), b"")
    }

    pub(crate) fn damaged(&self) -> PathBuf {
        self.dir.join("damaged")
    }

    /// The directory of drafts.
    pub fn drafts(&self) -> PathBuf {
        self.dir.join("drafts")
    }

    /// An unused path on the store's file system.
    pub(crate) fn draft(&self) -> PathBuf {
        self.drafts().join(uuid::Uuid::new_v4().as_simple().to_string())
    }
}
