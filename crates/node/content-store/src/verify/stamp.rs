//! Recently verified items: a file that this process read or wrote and whose inode, length and
//! times are unchanged since need not be read again soon.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::gc_roots::Item;

/// Remembered items; beyond that all are dropped, and verified at their next use.
const STAMPS_MAX: usize = 100_000;

/// Identifies the state of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileState {
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileState {
    /// `None` when there is no such file.
    pub(crate) fn of(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(meta) => Ok(Some(Self {
                inode: meta.ino(),
                bytes: meta.len(),
                modified: (meta.mtime(), meta.mtime_nsec()),
                changed: (meta.ctime(), meta.ctime_nsec()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The states of several files; `None` for each that does not exist.
    pub(crate) fn of_all(paths: &[PathBuf]) -> io::Result<Vec<Option<Self>>> {
        paths.iter().map(|path| Self::of(path)).collect()
    }
}

/// The states of an item's files, `None` for one that does not exist.
type FileStates = Vec<Option<FileState>>;

/// The states in which items were last verified, and when.
#[derive(Debug, Default)]
pub(crate) struct Stamps(Mutex<HashMap<Item, (FileStates, Instant)>>);

impl Stamps {
    /// Whether the item is unchanged since its last verification, less than `keep` ago.
    pub(crate) fn is_fresh(&self, item: &Item, states: &[Option<FileState>], keep: Duration) -> bool {
        self.0.lock().get(item).is_some_and(|(known, at)| known == states && at.elapsed() < keep)
    }

    pub(crate) fn set(&self, item: &Item, states: Vec<Option<FileState>>) {
        let mut stamps = self.0.lock();
        if stamps.len() >= STAMPS_MAX {
            stamps.clear();
        }
        stamps.insert(item.clone(), (states, Instant::now()));
    }

    pub(crate) fn forget(&self, item: &Item) {
        self.0.lock().remove(item);
    }
}

#[cfg(test)]
mod tests {
    use types::Digest;

    use super::*;

    #[test]
    fn a_file_that_was_written_to_or_replaced_is_not_fresh() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        fs::write(&path, "content").expect("written");
        let (stamps, item) = (Stamps::default(), Item::Blob(Digest::from_sha256(&[1; 32])));
        let now = || vec![FileState::of(&path).expect("readable")];
        let long = Duration::from_secs(3600);
        assert!(!stamps.is_fresh(&item, &now(), long));
        stamps.set(&item, now());
        assert!(stamps.is_fresh(&item, &now(), long));
        assert!(!stamps.is_fresh(&item, &now(), Duration::ZERO));
        fs::write(dir.path().join("other"), "content").expect("written");
        fs::rename(dir.path().join("other"), &path).expect("renamed");
        assert!(!stamps.is_fresh(&item, &now(), long), "another inode");
        stamps.set(&item, now());
        fs::remove_file(&path).expect("removed");
        assert_eq!(now(), [None]);
        assert!(!stamps.is_fresh(&item, &now(), long));
    }
}
