//! Checks of the data directory before the start: existence, permissions, completeness.

use std::ffi::OsString;
use std::fs::{DirBuilder, Permissions, read_dir, set_permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::Context;
use rustix::process::geteuid;

use crate::failure::{Exit, Failure};

/// The database's file name.
pub const DATABASE: &str = "sampan.db";
/// Directories created after the database: content in them proves that a database existed.
const MADE_LATER: [&str; 3] = ["logs", "images", "registry"];
/// Files that identify a data directory of Sampan.
const MARKS: [&str; 2] = [DATABASE, "credentials.toml"];
/// Entries that a directory counted as empty may have: from a failed first start, or a new file
/// system.
const BEGINNING: [&str; 2] = ["lock", "lost+found"];
/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// Creates the directory if it is missing. A directory that others can enter gets mode 0700 if it
/// is empty or belongs to Sampan; otherwise it is rejected, because files of images below have the
/// owners that the images specify.
pub fn make(dir: &Path) -> anyhow::Result<()> {
    let cannot = |what: &str| format!("cannot {what} the data directory {}", dir.display());
    DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| cannot("create"))?;
    let meta = dir.metadata().with_context(|| cannot("stat"))?;
    let own = geteuid().as_raw();
    if meta.uid() == own && meta.mode() & OTHERS == 0 {
        return Ok(());
    }
    if !is_ours_to_close(dir).with_context(|| cannot("list"))? {
        let (mode, owner) = (meta.mode() & 0o7777, meta.uid());
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "the data directory {} has content that is not sampan's, and others may enter it (mode {mode:04o}, \
                 owner {owner})",
                dir.display()
            ),
            format!(
                "Choose an empty or new folder with --data-dir, or restrict access to this one: `chown {own} DIR && chmod 0700 DIR`."
            ),
        )
        .into());
    }
    if meta.uid() != own {
        chown(dir, Some(own), None).with_context(|| cannot("change the owner of"))?;
    }
    set_permissions(dir, Permissions::from_mode(0o700)).with_context(|| cannot("restrict access to"))?;
    tracing::info!(dir = %dir.display(), "set mode 0700 on the data directory, which was open to other users");
    Ok(())
}

/// Whether the directory has an installation's files or counts as empty.
fn is_ours_to_close(dir: &Path) -> std::io::Result<bool> {
    let names = read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
    let is = |name: &OsString, known: &[&str]| known.iter().any(|known| name == known);
    Ok(names.iter().any(|name| is(name, &MARKS)) || names.iter().all(|name| is(name, &BEGINNING)))
}

/// Rejects a directory that has content but no database: a new database would lose all functions,
/// and garbage collection would remove their images. `new` skips the check.
pub fn check_database(dir: &Path, new: bool) -> anyhow::Result<()> {
    let database = dir.join(DATABASE);
    let state = match database.metadata() {
        Ok(meta) if meta.len() > 0 => return Ok(()),
        Ok(_) => "is empty",
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is missing",
        Err(error) => return Err(error).with_context(|| format!("cannot stat {}", database.display())),
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
    fn an_open_directory_of_sampan_is_closed_and_another_one_refused() {
        let mode = |dir: &Path| dir.metadata().expect("there").mode() & 0o7777;
        for (content, before, closed) in [
            (&[][..], 0o755, true),
            (&["lost+found"], 0o755, true),
            (&["lock", "credentials.toml", "something"], 0o777, true),
            (&["sampan.db"], 0o2775, true),
            (&["something"], 0o755, false),
            (&["something", "lock"], 0o710, false),
        ] {
            let dir = tempfile::tempdir().expect("a folder");
            for name in content {
                std::fs::write(dir.path().join(name), "x").expect("written");
            }
            set_permissions(dir.path(), Permissions::from_mode(before)).expect("set");
            let made = make(dir.path());
            assert_eq!((made.is_ok(), mode(dir.path())), (closed, if closed { 0o700 } else { before }), "{content:?}");
            if let Err(error) = made {
                assert!(error.to_string().contains("has content that is not sampan's"), "{error}");
            }
        }
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("something"), "x").expect("written");
        set_permissions(dir.path(), Permissions::from_mode(0o700)).expect("set");
        assert!(make(dir.path()).is_ok(), "it is closed already");
        let new = dir.path().join("a/b");
        make(&new).expect("made");
        assert_eq!(mode(&new), 0o700);
    }

    #[test]
    fn a_missing_database_is_not_a_new_installation() {
        let dir = tempfile::tempdir().expect("a folder");
        let check = |new| check_database(dir.path(), new);
        assert!(check(false).is_ok());
        // As after a crash during the first start.
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
