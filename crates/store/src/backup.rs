//! Copies of the database while the platform runs, and verification of a copy before a restore.
//!
//! A copy is one file, made by `VACUUM INTO` (lang_vacuum.html): it contains one committed state,
//! regardless of concurrent writes.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use types::{FunctionKey, PinnedImage, VersionName};

use crate::database;
use crate::error::{During, Error, FileError};
use crate::migrations::MIGRATIONS;
use crate::sql;

/// An image that a version serves; a copy of the database contains its name, not its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUpImage {
    /// The function.
    pub function: FunctionKey,
    /// Its version.
    pub version: VersionName,
    /// The reference that it was deployed from.
    pub uri: String,
    /// The digest that the reference was resolved to.
    pub image: PinnedImage,
}

/// Writes a copy of the database at `path` to the file `to`, which must not exist, and returns the
/// images that it names.
///
/// # Errors
/// [`FileError::Create`] if `to` cannot be created or exists, [`FileError::Open`],
/// [`FileError::Damaged`], [`Error::DiskFull`].
pub async fn backup(path: &Path, to: &Path) -> Result<Vec<BackedUpImage>, Error> {
    let database = open(path).await?;
    // VACUUM INTO accepts an empty file and keeps its mode.
    make(to).await?;
    let Some(text) = to.to_str() else { return Err(create_error(to, io::ErrorKind::InvalidFilename.into())) };
    let copied = sqlx::query("VACUUM INTO ?").bind(text).execute(&database).await.during("copy", "the database");
    database.close().await;
    let finished = match copied {
        Ok(_) => verify(to).await,
        Err(error) => Err(error),
    };
    if finished.is_err() {
        // A partial file is removed: it is not a backup. The returned error has the cause.
        let _ = fs::remove_file(to);
    }
    finished
}

/// Verifies the structure and schema of a copy, and returns the images that it names.
///
/// # Errors
/// [`FileError::Open`], [`FileError::Damaged`], [`FileError::Newer`].
pub async fn verify(path: &Path) -> Result<Vec<BackedUpImage>, Error> {
    let database = open(path).await?;
    let found = look(path, &database).await;
    database.close().await;
    found
}

async fn look(path: &Path, database: &SqlitePool) -> Result<Vec<BackedUpImage>, Error> {
    let damaged = |source| database::open_error(path, source);
    database::check(database).await.map_err(damaged)?;
    let newest = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(database).await;
    // An empty file, or another program's database, has no such table.
    let newest: Option<i64> =
        newest.map_err(|source| Error::File(FileError::Damaged { path: path.to_owned(), source }))?;
    if let Some(migration) = newest.filter(|version| !MIGRATIONS.version_exists(*version)) {
        return Err(Error::File(FileError::Newer { path: path.to_owned(), migration }));
    }
    let mut connection = database.acquire().await.map_err(damaged)?;
    let functions = sql::lists::all(&mut connection).await.map_err(damaged)?;
    let mut images = Vec::new();
    for function in functions {
        for version in function.versions {
            let Some(serving) = version.serving else { continue };
            images.push(BackedUpImage {
                function: function.record.key.clone(),
                version: version.version,
                uri: serving.spec.image.uri.clone(),
                image: serving.image.clone(),
            });
        }
    }
    images.sort_by(|a, b| (&a.function, a.version).cmp(&(&b.function, b.version)));
    Ok(images)
}

async fn open(path: &Path) -> Result<SqlitePool, Error> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .map_err(|source| database::open_error(path, source))
}

async fn make(path: &Path) -> Result<(), Error> {
    let path: PathBuf = path.to_owned();
    let made = tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.map(drop).map_err(|source| create_error(&path, source))
    });
    made.await.map_err(|_| Error::Stopping)?
}

fn create_error(path: &Path, source: io::Error) -> Error {
    Error::File(FileError::Create { path: path.to_owned(), source })
}

/// Syncs a file and its folder, so that content and name survive a power failure.
///
/// # Errors
/// Those of the file system.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
