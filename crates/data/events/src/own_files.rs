//! Detects that the queue's file or its log was removed or replaced: SQLite continues to write to
//! the removed file, and the next start would not find it.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The files of a database, as they were when it was opened.
pub(crate) struct OwnFiles([(PathBuf, Option<Inode>); 2]);

/// Device and inode number.
type Inode = (u64, u64);

impl OwnFiles {
    /// The files of an open database; its log may not exist before the first commit.
    pub(crate) fn of(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Self([path.to_owned(), log.into()].map(|path| {
            let inode = inode(&path).ok().flatten();
            (path, inode)
        }))
    }

    /// Checks, after a commit, that they are still in place.
    ///
    /// # Errors
    /// The affected file, and the remedy.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        for (path, known) in &mut self.0 {
            // A file system that returns an error gives no information about the file.
            let Ok(found) = inode(path) else { continue };
            match known {
                None => *known = found,
                Some(known) if found != Some(*known) => {
                    return Err(format!(
                        "{} was moved, removed or replaced while the queue of events was open; put it back, or leave \
                         it out for an empty queue, and start the platform again",
                        path.display()
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn inode(path: &Path) -> std::io::Result<Option<Inode>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
