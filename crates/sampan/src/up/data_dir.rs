//! The data directory before anything is opened in it: that it is there, closed to others, and whole.

use std::fs::{DirBuilder, read_dir};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;

use crate::failure::{Exit, Failure};

/// The database, in the data directory.
pub const DATABASE: &str = "sampan.db";
/// What the parts make in it after the database: where these have content, there was a database.
const MADE_LATER: [&str; 3] = ["logs", "images", "registry"];

/// Makes it where it is missing.
pub fn make(dir: &Path) -> anyhow::Result<()> {
    // Images' files lie below with the owners that images give them: nobody else on the machine may walk in.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the data directory {}", dir.display()))
}

/// Refuses a directory whose database is missing or empty while other content is there: with a new one all functions would
/// be gone, and their images be collected. `new` says that this is wanted.
pub fn check_database(dir: &Path, new: bool) -> anyhow::Result<()> {
    let database = dir.join(DATABASE);
    let state = match database.metadata() {
        Ok(meta) if meta.len() > 0 => return Ok(()),
        Ok(_) => "is empty",
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is missing",
        Err(error) => return Err(error).with_context(|| format!("cannot look at {}", database.display())),
    };
    let has_content = |name: &&str| read_dir(dir.join(name)).is_ok_and(|mut entries| entries.next().is_some());
    let content: Vec<&str> = MADE_LATER.into_iter().filter(|name| has_content(name)).collect();
    if new || content.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!("the database {} {state}, but {} in the data directory have content", database.display(), content.join(", ")),
        "Put the database back (`sampan restore FILE` takes a backup), choose the right --data-dir, or start with --new to \
         begin without the functions that were there.",
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_of_the_database_is_no_new_installation() {
        let dir = tempfile::tempdir().expect("a folder");
        let check = |new| check_database(dir.path(), new);
        assert!(check(false).is_ok());
        // As a crash in the first start leaves it.
        std::fs::write(dir.path().join("credentials.toml"), "x").expect("written");
        std::fs::create_dir(dir.path().join("logs")).expect("made");
        assert!(check(false).is_ok());
        std::fs::write(dir.path().join("logs/1.jsonl"), "x").expect("written");
        assert!(check(false).expect_err("refused").to_string().contains("is missing, but logs in"));
        std::fs::write(dir.path().join(DATABASE), "").expect("written");
        assert!(check(false).expect_err("refused").to_string().contains("is empty"));
        assert!(check(true).is_ok());
        std::fs::write(dir.path().join(DATABASE), "content").expect("written");
        assert!(check(false).is_ok());
    }
}
