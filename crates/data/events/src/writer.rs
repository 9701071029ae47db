//! The one thread that writes: group commit without a timer.
//!
//! A commit takes the changes that arrived during the previous sync, up to a limit of rows and
//! bytes; each change runs in a savepoint, so that a failed one does not affect the others. Callers
//! are answered after the commit. A failed sync ends all writing: the state of the disk is unknown
//! then, and the kernel may report the failure only once (Rebello et al., "Can Applications Recover
//! from fsync Failures?", 2020).

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rusqlite::ffi::{SQLITE_CORRUPT, SQLITE_IOERR_FSYNC, SQLITE_READONLY_DBMOVED};
use rusqlite::{Connection, Error as SqlError, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use crate::checkpoints::{self, Checkpoints};
use crate::config::Config;
use crate::error::Error;
use crate::own_files::OwnFiles;
use crate::sqlite;

/// SQLite's `SQLITE_IOERR_DIR_FSYNC`: the folder could not be synced.
const IOERR_DIR_FSYNC: i32 = 1290;

/// Sends changes to the writing thread; cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer {
    changes: mpsc::Sender<Arriving>,
    halted: Arc<OnceLock<String>>,
}

/// A queued change, with the bytes that it adds to the file.
struct Arriving {
    bytes: usize,
    change: Box<dyn Change>,
}

/// A change with any result type.
trait Change: Send {
    /// Runs the change and returns its error, if it failed.
    fn apply(&mut self, connection: &Connection) -> Option<&Error>;
    /// Answers the caller once it is known whether the commit succeeded.
    fn settle(self: Box<Self>, committed: Result<(), &SqlError>);
}

struct Typed<T, F, H> {
    work: Option<F>,
    outcome: Option<Result<T, Error>>,
    /// Runs with the outcome, even if the caller went away; dropped when there is none.
    settled: H,
    answer: oneshot::Sender<Result<T, Error>>,
}

impl<T, F, H> Change for Typed<T, F, H>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, Error> + Send,
    H: FnOnce(&Result<T, Error>) + Send,
{
    fn apply(&mut self, connection: &Connection) -> Option<&Error> {
        self.outcome = self.work.take().map(|work| work(connection));
        self.outcome.as_ref().and_then(|outcome| outcome.as_ref().err())
    }

    fn settle(self: Box<Self>, committed: Result<(), &SqlError>) {
        let outcome = match (self.outcome, committed) {
            (Some(Err(error)), _) => Err(error),
            (Some(done), Ok(())) => done,
            (_, Err(error)) => Err(Error::from(error)),
            (None, Ok(())) => return,
        };
        (self.settled)(&outcome);
        // The caller may have gone away; the commit stands.
        let _ = self.answer.send(outcome);
    }
}

impl Writer {
    /// Starts the thread, which ends when the last `Writer` is dropped and all queued changes are
    /// done.
    pub(crate) fn start(path: PathBuf, connection: Connection, config: &Config) -> std::io::Result<Self> {
        let (changes, arriving) = mpsc::channel(config.writer_queue_len_max);
        let halted = Arc::new(OnceLock::new());
        let checkpoints = {
            let beside = sqlite::open_beside(&path).map_err(std::io::Error::other)?;
            let halted = Arc::clone(&halted);
            Checkpoints::start(beside, config.wal_bytes_max, move |error| checkpoint_failed(&error, &halted))?
        };
        let thread = Thread {
            files: OwnFiles::of(&path),
            path,
            checkpoints,
            connection,
            rows_max: config.commit_rows_max,
            bytes_max: config.commit_bytes_max,
            halted: Arc::clone(&halted),
        };
        std::thread::Builder::new().name("events-writer".to_owned()).spawn(move || thread.run(arriving))?;
        Ok(Self { changes, halted })
    }

    /// Runs a change within the next commit and returns its result once that is durable. `bytes` is
    /// what the change adds to the file.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.write_then(bytes, work, |_| {}).await
    }

    /// The same, with a callback that runs even if the caller stops waiting. `settled` is dropped
    /// without a call when the change is never tried.
    pub(crate) async fn write_then<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
        settled: impl FnOnce(&Result<T, Error>) + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let change = Box::new(Typed { work: Some(work), outcome: None, settled, answer });
        self.changes.send(Arriving { bytes, change }).await.map_err(|_| self.closed())?;
        answered.await.unwrap_or_else(|_| Err(self.closed()))
    }

    /// Why writing has ended.
    pub(crate) fn halted(&self) -> Option<&str> {
        let ended = self.changes.is_closed().then_some("its writing thread has ended");
        self.halted.get().map(String::as_str).or(ended)
    }

    fn closed(&self) -> Error {
        self.halted().map_or(Error::Stopping, |why| Error::Halted(why.to_owned()))
    }
}

struct Thread {
    path: PathBuf,
    files: OwnFiles,
    /// Dropped before the connection is closed.
    checkpoints: Checkpoints,
    connection: Connection,
    rows_max: usize,
    bytes_max: usize,
    halted: Arc<OnceLock<String>>,
}

impl Thread {
    fn run(mut self, mut arriving: mpsc::Receiver<Arriving>) {
        checkpoints::count_pages(&self.connection);
        while let Some(first) = arriving.blocking_recv() {
            if self.halted.get().is_some() {
                return;
            }
            let mut changes = Vec::new();
            let committed = self.commit(first, &mut arriving, &mut changes);
            metrics::histogram!("sampan_events_commit_rows").record(changes.len() as f64);
            let committed = committed.and_then(|()| self.still_there());
            let Err(error) = committed else {
                changes.into_iter().for_each(|change| change.settle(Ok(())));
                if let Err(error) = self.checkpoints.after_commit() {
                    checkpoint_failed(&error, &self.halted);
                }
                continue;
            };
            let why = error.to_string();
            if is_final(&error) {
                // Before the callers are answered, so that their next attempts are refused.
                let _ = self.halted.set(why.clone());
                tracing::error!(%why, "a commit of the queue of events may be lost; the queue accepts no more events");
                changes.into_iter().for_each(|change| change.settle(Err(&error)));
                return;
            }
            tracing::warn!(%why, changes = changes.len(), "a commit of the queue of events failed");
            changes.into_iter().for_each(|change| change.settle(Err(&error)));
            self.reopen();
        }
        self.close();
    }

    /// Checks that the file is still in place: commits to a removed file are lost after a restart.
    fn still_there(&mut self) -> Result<(), SqlError> {
        let moved = rusqlite::ffi::Error::new(SQLITE_READONLY_DBMOVED);
        self.files.check().map_err(|why| SqlError::SqliteFailure(moved, Some(why)))
    }

    /// Merges the log into the file, unless a reader prevents it.
    fn close(self) {
        let Self { connection, checkpoints, .. } = self;
        drop(checkpoints);
        if let Err(error) = checkpoints::truncate(&connection) {
            tracing::warn!(%error, "cannot truncate the WAL of the queue of events; the next start replays it");
        }
    }

    /// One transaction of the queued changes; they are moved to `changes`, also when it fails.
    fn commit(
        &self,
        first: Arriving,
        arriving: &mut mpsc::Receiver<Arriving>,
        changes: &mut Vec<Box<dyn Change>>,
    ) -> Result<(), SqlError> {
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        let (mut next, mut bytes) = (Some(first), 0);
        while let Some(mut taken) = next {
            bytes += taken.bytes;
            let applied = if begun.is_ok() { self.apply(taken.change.as_mut()) } else { Ok(()) };
            changes.push(taken.change);
            applied?;
            let room = begun.is_ok() && changes.len() < self.rows_max && bytes < self.bytes_max;
            next = if room { arriving.try_recv().ok() } else { None };
        }
        begun?;
        self.connection.execute_batch("COMMIT")
    }

    /// One change in a savepoint: a failed one does not affect the others of its commit.
    fn apply(&self, change: &mut dyn Change) -> Result<(), SqlError> {
        self.connection.prepare_cached("SAVEPOINT change")?.execute([])?;
        let failed = change.apply(&self.connection);
        if let Some(Error::Damaged(why)) = failed {
            let code = rusqlite::ffi::Error::new(SQLITE_CORRUPT);
            return Err(SqlError::SqliteFailure(code, Some(why.clone())));
        }
        let succeeded = failed.is_none();
        // SQLite rolls the whole transaction back by itself on FULL, IOERR and NOMEM.
        if self.connection.is_autocommit() {
            let message = "the transaction was rolled back: the disk is full or cannot be written";
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
            return Err(SqlError::SqliteFailure(code, Some(message.to_owned())));
        }
        if !succeeded {
            self.connection.prepare_cached("ROLLBACK TO change")?.execute([])?;
        }
        self.connection.prepare_cached("RELEASE change")?.execute([])?;
        Ok(())
    }

    /// Reopens the connection after a transaction with an unexpected end.
    fn reopen(&mut self) {
        // Fails when no transaction is open, as after a rollback by SQLite itself.
        let _ = self.connection.execute_batch("ROLLBACK");
        match sqlite::reopen(&self.path) {
            Ok(connection) => {
                checkpoints::count_pages(&connection);
                self.connection = connection;
            }
            Err(error) => tracing::warn!(%error, "cannot reopen the queue of events; keeping its connection"),
        }
    }
}

/// Handles a failed checkpoint: commits are in the log, and the next checkpoint copies it again;
/// but a failed sync halts the writer.
fn checkpoint_failed(error: &SqlError, halted: &OnceLock<String>) {
    if is_sync_failure(error) || is_damage(error) {
        let _ = halted.set(error.to_string());
        tracing::error!(%error, "a checkpoint of the queue of events may be lost; the queue accepts no more events");
    } else {
        tracing::warn!(%error, "a checkpoint of the queue of events failed; its log grows until the next one");
    }
}

/// Whether later writes could not be relied on.
fn is_final(error: &SqlError) -> bool {
    let code = error.sqlite_error().map_or(0, |error| error.extended_code);
    code == SQLITE_READONLY_DBMOVED || is_sync_failure(error) || is_damage(error)
}

fn is_damage(error: &SqlError) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn is_sync_failure(error: &SqlError) -> bool {
    let code = error.sqlite_error().map_or(0, |error| error.extended_code);
    code == SQLITE_IOERR_FSYNC || code == IOERR_DIR_FSYNC
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
