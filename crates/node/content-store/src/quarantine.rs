//! Quarantine of damaged content: removed from use at once, and retained for analysis up to a size.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Error;
use crate::durable;
use crate::layout::Layout;

/// The quarantine of one store.
#[derive(Debug, Clone)]
pub(crate) struct Quarantine {
    layout: Layout,
    bytes_max: u64,
}

impl Quarantine {
    pub(crate) fn new(layout: Layout, bytes_max: u64) -> Self {
        Self { layout, bytes_max }
    }

    /// Moves a file or a directory out of use, durably. `kind` is the prefix of its new name.
    pub(crate) fn take(&self, kind: &str, path: &Path) -> Result<PathBuf, Error> {
        let name = path.file_name().expect("every path here is below the store's directory").to_string_lossy();
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let place = self.layout.damaged().join(format!("{now_ms:013}-{kind}-{name}"));
        fs::rename(path, &place).map_err(|e| Error::io("set aside", path, e))?;
        durable::sync_parent(path)?;
        self.trim()?;
        Ok(place)
    }

    /// Removes the oldest items until the rest is within the limit.
    fn trim(&self) -> Result<(), Error> {
        let dir = self.layout.damaged();
        let failed = |e| Error::io("list", &dir, e);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let bytes = bytes_of(&path);
            entries.push((path, bytes));
        }
        // Newest first: names begin with the time.
        entries.sort_by(|a, b| b.0.cmp(&a.0));
        let mut kept = 0_u64;
        for (path, bytes) in entries {
            kept = kept.saturating_add(bytes);
            if kept > self.bytes_max {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Bytes of a file, or of all files of a directory.
fn bytes_of(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| bytes_of(&entry.path())).fold(0, u64::saturating_add)
}

fn remove(path: &Path) -> Result<(), Error> {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let removed = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(|e| Error::io("remove", path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_the_bound_is_reached() {
        let dir = tempfile::tempdir().expect("a directory");
        let layout = Layout::open(dir.path()).expect("made");
        let quarantine = Quarantine::new(layout.clone(), 10);
        for (name, bytes) in [("a", 4), ("b", 4), ("c", 4)] {
            let path = layout.blobs().join(name);
            fs::write(&path, vec![0; bytes]).expect("written");
            quarantine.take("blob", &path).expect("moved");
            assert!(!path.exists());
            // Names differ by the millisecond.
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let mut left: Vec<_> =
            fs::read_dir(layout.damaged()).expect("there").flatten().map(|e| e.file_name()).collect();
        left.sort();
        let ends: Vec<_> =
            left.iter().map(|name| name.to_string_lossy().rsplit('-').next().map(str::to_owned)).collect();
        assert_eq!(ends, [Some("b".to_owned()), Some("c".to_owned())]);
    }
}
