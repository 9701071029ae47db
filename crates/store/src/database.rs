//! Opens the database: folder, file, connections, schema.

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Sqlite, SqlitePool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::error::{During, Error, FileError, code, result_code};
use crate::migrations::MIGRATIONS;

/// A pool of read connections and one write connection.
#[derive(Debug)]
pub(crate) struct Database {
    reads: SqlitePool,
    writes: SqlitePool,
    /// Held from the beginning of a write until its snapshot is swapped in, so that snapshots have
    /// the order of commits.
    turn: Arc<Mutex<()>>,
    waiting: Arc<Semaphore>,
    waiting_max: usize,
}

/// The write lock and the transaction of a write. Dropping it without a commit rolls back.
pub(crate) struct Turn {
    pub(crate) transaction: Transaction<'static, Sqlite>,
    _turn: OwnedMutexGuard<()>,
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    /// Commits, and returns the write lock.
    pub(crate) async fn commit(self) -> sqlx::Result<(OwnedMutexGuard<()>, OwnedSemaphorePermit)> {
        self.transaction.commit().await?;
        Ok((self._turn, self._permit))
    }
}

impl Database {
    /// Opens the database at `path`, creates a missing folder and file, and migrates the schema.
    pub(crate) async fn open(path: &Path, config: &Config) -> Result<Self, Error> {
        let file = path.to_owned();
        tokio::task::spawn_blocking(move || make_file(&file)).await.map_err(|_| Error::Stopping)??;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(config.busy_timeout());
        // Writers wait for the write lock, never for the connection. The connection is kept, since
        // a new one would read the schema again.
        let writes = pool_options()
            .max_connections(1)
            .idle_timeout(None::<Duration>)
            .max_lifetime(None::<Duration>)
            .connect_with(options.clone())
            .await
            .map_err(|source| open_error(path, source))?;
        check(&writes).await.map_err(|source| open_error(path, source))?;
        MIGRATIONS.run(&writes).await.map_err(|source| migrate_error(path, source))?;
        let reads = pool_options()
            .max_connections(config.readers_max.max(1))
            .acquire_timeout(config.read_wait_max())
            .connect_lazy_with(options.read_only(true));
        Ok(Self {
            reads,
            writes,
            turn: Arc::new(Mutex::new(())),
            waiting: Arc::new(Semaphore::new(config.writes_waiting_max.min(Semaphore::MAX_PERMITS))),
            waiting_max: config.writes_waiting_max,
        })
    }

    /// Waits for the running write, checkpoints the WAL into the database file, and closes both
    /// pools, so that one file remains on disk. Later calls fail.
    pub(crate) async fn close(&self) {
        let _turn = self.turn.lock().await;
        self.reads.close().await;
        // After a failure the WAL stays, as after a crash, and the next start reads it.
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writes).await {
            tracing::warn!(%error, "cannot checkpoint the WAL of the database; the next start does it");
        }
        self.writes.close().await;
    }

    /// Begins a read-only transaction on one state of the database.
    pub(crate) async fn read(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        self.reads.begin().await.during("begin", "a read")
    }

    /// Waits for the write lock.
    pub(crate) async fn write(&self) -> Result<Turn, Error> {
        let busy = |_| Error::Busy { waiting_max: self.waiting_max };
        let permit = self.waiting.clone().try_acquire_owned().map_err(busy)?;
        let turn = self.turn.clone().lock_owned().await;
        // IMMEDIATE takes SQLite's lock now instead of at the first change: the wait for another
        // process's lock happens here, before anything was read, instead of failing in the middle.
        let transaction = self.writes.begin_with("BEGIN IMMEDIATE").await.during("begin", "a write")?;
        Ok(Turn { transaction, _turn: turn, _permit: permit })
    }
}

/// A pool that replaces connections whose transaction did not end properly. SQLite rolls back by
/// itself on FULL, IOERR, NOMEM and more (lang_transaction.html, "Response To Errors Within A
/// Transaction"); the following ROLLBACK fails, sqlx counts the transaction as open indefinitely,
/// and no other can begin on that connection.
fn pool_options() -> SqlitePoolOptions {
    SqlitePoolOptions::new().after_release(|connection, _| {
        Box::pin(async move {
            // Runs after a rollback that a dropped transaction has queued.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

/// Checks the structure of the whole database, so that a truncated or overwritten file is detected
/// now, not by a later query.
pub(crate) async fn check(connection: &SqlitePool) -> sqlx::Result<()> {
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(connection).await?;
    if found == "ok" { Ok(()) } else { Err(sqlx::Error::Protocol(found)) }
}

/// Creates folder and file with modes that deny access to other users.
fn make_file(path: &Path) -> Result<(), Error> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| Error::File(FileError::CreateFolder { path: folder.to_owned(), source }))?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|source| Error::File(FileError::Create { path: path.to_owned(), source }))
}

/// The error for a failure of the first read.
pub(crate) fn open_error(path: &Path, source: sqlx::Error) -> Error {
    let path = PathBuf::from(path);
    let undecodable = matches!(source, sqlx::Error::ColumnDecode { .. });
    match result_code(&source) {
        _ if matches!(source, sqlx::Error::Protocol(_)) => Error::File(FileError::Damaged { path, source }),
        Some(code::CORRUPT | code::NOT_A_DATABASE) => Error::File(FileError::Damaged { path, source }),
        _ if undecodable => Error::File(FileError::Damaged { path, source }),
        _ => Error::File(FileError::Open { path, source }),
    }
}

fn migrate_error(path: &Path, source: MigrateError) -> Error {
    match source {
        MigrateError::VersionMissing(migration) => Error::File(FileError::Newer { path: path.to_owned(), migration }),
        MigrateError::Execute(source) => open_error(path, source),
        source => Error::File(FileError::Migrate { path: path.to_owned(), source }),
    }
}
