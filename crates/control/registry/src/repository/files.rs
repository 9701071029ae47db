//! Small files written atomically and durably: draft, sync, rename, sync of the directory.

use std::fs::{self, File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::Error;

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Metadata { operation, path, source }
}

/// `None` for a missing file.
fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", dir))
}

/// Creates a directory and its ancestors, each synced into its parent, so that a crash loses none.
pub(crate) fn make_dir(dir: &Path) -> Result<(), Error> {
    match fs::create_dir(dir) {
        Ok(()) => dir.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = dir.parent().ok_or(error).map_err(failed("make", dir))?;
            make_dir(parent)?;
            make_dir(dir)
        }
        Err(error) => Err(failed("make", dir)(error)),
    }
}

/// Moves a finished file to its path.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(failed("write", to))?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Writes a file by way of `tmp`, a directory of the same file system.
pub(super) fn write(tmp: &Path, path: &Path, content: &[u8]) -> Result<(), Error> {
    let draft = tmp.join(uuid::Uuid::new_v4().to_string());
    let written = write_draft(&draft, content).and_then(|()| {
        path.parent().map_or(Ok(()), make_dir)?;
        rename(&draft, path)
    });
    if written.is_err() {
        // Report the first failure; the next start removes drafts.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_draft(draft: &Path, content: &[u8]) -> Result<(), Error> {
    let mut file = File::create_new(draft).map_err(failed("make", draft))?;
    io::Write::write_all(&mut file, content).and_then(|()| file.sync_all()).map_err(failed("write", draft))
}

/// Content of a file; `None` when it is missing.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    if_there(fs::read(path)).map_err(failed("read", path))
}

/// Whether the file exists.
pub(super) fn exists(path: &Path) -> Result<bool, Error> {
    if_there(fs::metadata(path)).map(|found| found.is_some()).map_err(failed("look at", path))
}

/// Sets a file's modification time to now; false when it is missing. Not synced: a crash may
/// restore an older time.
pub(super) fn touch(path: &Path) -> Result<bool, Error> {
    let times = FileTimes::new().set_modified(SystemTime::now());
    let touched = if_there(File::open(path)).and_then(|file| file.map(|file| file.set_times(times)).transpose());
    touched.map(|found| found.is_some()).map_err(failed("touch", path))
}

/// Removes a file; false when it was missing.
pub(super) fn remove(path: &Path) -> Result<bool, Error> {
    let removed = remove_if_there(path)?;
    if removed {
        path.parent().map_or(Ok(()), sync_dir)?;
    }
    Ok(removed)
}

/// Removes a file without syncing; false when it was missing.
pub(crate) fn remove_if_there(path: &Path) -> Result<bool, Error> {
    if_there(fs::remove_file(path)).map(|found| found.is_some()).map_err(failed("remove", path))
}

/// Removes a directory and its ancestors below `root` while they are empty.
pub(super) fn prune(dir: &Path, root: &Path) {
    let mut dir = dir;
    // The first that is not empty ends the loop; a leftover empty directory is harmless.
    while dir != root && dir.starts_with(root) && fs::remove_dir(dir).is_ok() {
        let Some(parent) = dir.parent() else { return };
        dir = parent;
    }
}

/// Names in a directory, unsorted; none when it is missing.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, Error> {
    let Some(entries) = if_there(fs::read_dir(dir)).map_err(failed("list", dir))? else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        // All names that the registry writes are UTF-8.
        names.extend(entry.map_err(failed("list", dir))?.file_name().into_string());
    }
    Ok(names)
}

/// Modification time of a file; `None` when it is missing.
pub(super) fn modified(path: &Path) -> Result<Option<SystemTime>, Error> {
    if_there(fs::metadata(path).and_then(|meta| meta.modified())).map_err(failed("look at", path))
}

/// Removes all files of a directory.
pub(super) fn empty(dir: &Path) -> Result<(), Error> {
    for name in names(dir)? {
        remove_if_there(&dir.join(name))?;
    }
    Ok(())
}

/// Directories below `root` that have one of `words` as a child; `words` are not parts of a name.
/// Names are relative.
pub(super) fn walk(root: &Path, words: &[&str]) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut waiting: Vec<(PathBuf, String)> = vec![(root.to_owned(), String::new())];
    while let Some((dir, name)) = waiting.pop() {
        let mut is_one = false;
        for child in names(&dir)? {
            if words.contains(&child.as_str()) {
                is_one = true;
            } else {
                let path = if name.is_empty() { child.clone() } else { format!("{name}/{child}") };
                waiting.push((dir.join(&child), path));
            }
        }
        if is_one {
            found.push(name);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_file_replaces_the_old_one_and_leaves_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        let tmp = dir.path().join("tmp");
        make_dir(&tmp).unwrap();
        let path = dir.path().join("a/b/c");
        write(&tmp, &path, b"one").unwrap();
        write(&tmp, &path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(names(&tmp).unwrap().len(), 0);
        assert!(touch(&path).unwrap() && exists(&path).unwrap() && remove(&path).unwrap());
        assert!(!touch(&path).unwrap() && !exists(&path).unwrap() && !remove(&path).unwrap());
    }

    #[test]
    fn a_write_that_fails_leaves_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("target/full")).unwrap();
        let error = write(dir.path(), &dir.path().join("target"), b"x").unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert_eq!(names(dir.path()).unwrap(), ["target"]);
    }

    #[test]
    fn pruning_stops_at_what_is_used_and_at_the_root() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["root/a/b/c", "root/a/d"] {
            make_dir(&dir.path().join(path)).unwrap();
        }
        let root = dir.path().join("root");
        prune(&root.join("a/b/c"), &root);
        assert_eq!(names(&root.join("a")).unwrap(), ["d"]);
        prune(&root.join("a/d"), &root);
        assert!(root.is_dir());
        assert_eq!(names(&root).unwrap().len(), 0);
    }
}
