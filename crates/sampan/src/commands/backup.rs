//! `sampan backup` and `sampan restore`: copies the database of a data directory, offline or
//! online; both need root on the machine.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::json;
use store::BackedUpImage;

use crate::args::backup::{BackupArgs, RestoreArgs};
use crate::args::{Output, UpArgs};
use crate::failure::{Exit, Failure};
use crate::up::{DATABASE, take_lock};
use crate::{output, settings};

/// State that functions need and that is neither in the database nor in images.
const NOT_HELD: &str =
    "credentials.toml, the key of secrets, the sealed logins of registries, events.db with waiting events";

/// Copies the database, also while the platform runs.
pub async fn back_up(args: BackupArgs, format: Output) -> anyhow::Result<()> {
    let data_dir = settings::load(&args.place.into())?.data_dir;
    let from = data_dir.join(DATABASE);
    if !from.exists() {
        let message = format!("database {} does not exist", from.display());
        return Err(Failure::new(Exit::NotFound, message, "Name the data directory with --data-dir.").into());
    }
    check_target(&args.file)?;
    let images = store::backup(&from, &args.file).await.context("cannot back up")?;
    store::sync(&args.file).with_context(|| format!("cannot write {}", args.file.display()))?;
    report("backed up", &args.file, &images, format)
}

/// Replaces the database by a backup; the platform must be stopped.
pub async fn restore(args: RestoreArgs, format: Output) -> anyhow::Result<()> {
    if !args.file.exists() {
        let message = format!("file {} does not exist", args.file.display());
        return Err(Failure::new(Exit::NotFound, message, "Name a file that `sampan backup` wrote.").into());
    }
    let images = store::verify(&args.file).await.map_err(|error| no_backup(&args.file, error))?;
    let data_dir = settings::load(&args.place.into())?.data_dir;
    crate::up::make_data_dir(&data_dir)?;
    let _lock = take_lock(&data_dir)?;
    let database = data_dir.join(DATABASE);
    let has_content = database.metadata().is_ok_and(|meta| meta.len() > 0);
    if has_content && !args.force {
        let message = format!("database {} exists already", database.display());
        return Err(Failure::new(Exit::Failed, message, "Back it up, then add --force to replace it.").into());
    }
    put(&args.file, &database).with_context(|| format!("cannot write {}", database.display()))?;
    report("restored", &database, &images, format)
}

/// Rejects an existing target file and a missing parent directory.
fn check_target(file: &Path) -> anyhow::Result<()> {
    if file.exists() {
        let message = format!("{} already exists, and a backup never overwrites a file", file.display());
        return Err(Failure::new(Exit::Usage, message, "Name another file.").into());
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let message = format!("folder {} does not exist", folder.display());
        return Err(Failure::new(Exit::Usage, message, "Create it, or name a file in another one.").into());
    }
    Ok(())
}

/// Maps an error of verifying the backup file to a failure with a remedy.
fn no_backup(file: &Path, error: store::Error) -> anyhow::Error {
    match error {
        store::Error::File(store::FileError::Damaged { .. } | store::FileError::Open { .. }) => {
            let message = format!("{} is not a complete backup of Sampan", file.display());
            Failure::new(Exit::Failed, message, "Name another file that `sampan backup` wrote.").into()
        }
        error => anyhow::Error::from(error).context("cannot restore"),
    }
}

/// Replaces the database atomically, after removing its journals, which SQLite would apply to the
/// new file.
fn put(copy: &Path, database: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let beside = database.with_extension("db.new");
    std::fs::copy(copy, &beside)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
    store::sync(&beside)?;
    for end in ["db-wal", "db-shm"] {
        match std::fs::remove_file(database.with_extension(end)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::rename(&beside, database)?;
    store::sync(database)
}

fn report(done: &str, file: &Path, images: &[BackedUpImage], format: Output) -> anyhow::Result<()> {
    let bytes = std::fs::metadata(file)?.len();
    match format {
        Output::Json => {
            let image = |image: &BackedUpImage| {
                json!({
                    "function": image.function.to_string(), "version": image.version.to_string(), "uri": image.uri,
                    "digest": image.image.digest.as_str(), "bytes": image.image.size_bytes,
                })
            };
            let images: Vec<_> = images.iter().map(image).collect();
            output::json(&json!({ "file": file.display().to_string(), "bytes": bytes, "images_not_held": images }))
        }
        Output::Text => {
            println!("{done}: {} ({bytes} bytes)", file.display());
            println!("not included: {NOT_HELD}, logs, and these images:");
            let by_digest: BTreeMap<_, _> = images.iter().map(|i| (i.image.digest.as_str(), i)).collect();
            let row = |image: &BackedUpImage| {
                let bytes = image.image.size_bytes.to_string();
                vec![image.image.digest.to_string(), bytes, image.uri.clone()]
            };
            output::table(&["DIGEST", "BYTES", "DEPLOYED FROM"], &by_digest.into_values().map(row).collect::<Vec<_>>());
            Ok(())
        }
    }
}

impl From<crate::args::backup::Place> for UpArgs {
    fn from(place: crate::args::backup::Place) -> Self {
        Self { data_dir: place.data_dir, config: place.config, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_backup_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("nosuch.db");
        let place = crate::args::backup::Place { data_dir: Some(dir.path().join("data")), config: None };
        let args = RestoreArgs { file: file.clone(), force: false, place };
        let failure = Failure::of(&restore(args, Output::Text).await.expect_err("there is none"));
        assert_eq!(failure.to_string(), format!("file {} does not exist", file.display()));
        assert_eq!(failure.exit(), Exit::NotFound);
        assert!(!dir.path().join("data").exists(), "nothing was made");
    }
}
