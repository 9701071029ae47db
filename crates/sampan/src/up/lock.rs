//! One platform per data directory: an advisory lock that the kernel drops with the process, however it ends.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

use crate::failure::{Exit, Failure};

/// Name of the locked file.
const FILE_NAME: &str = "lock";

/// Takes the lock; it is held while the file lives.
pub fn take(data_dir: &Path) -> anyhow::Result<File> {
    let path = data_dir.join(FILE_NAME);
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Failure::new(
            Exit::Failed,
            format!("another `sampan up` runs on the data directory {}", data_dir.display()),
            "Stop it first, or choose another folder with --data-dir.",
        )
    })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_platform_on_a_data_directory_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = take(dir.path()).expect("free");
        assert!(take(dir.path()).expect_err("held").to_string().contains("another `sampan up`"));
        drop(first);
        assert!(take(dir.path()).is_ok());
    }
}
