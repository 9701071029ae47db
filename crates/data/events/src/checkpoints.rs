//! Checkpoints of the write-ahead log on a connection and thread of their own.
//!
//! SQLite's automatic checkpoint runs inside a commit: it syncs the log, copies its pages into the
//! file and syncs that while all callers wait. Here a commit only counts the pages of the log. The
//! other thread copies them by PASSIVE checkpoints, which block no reader or writer; once the log
//! was copied completely the next commit restarts it. Under load there is always a commit that was
//! not copied yet, so the log grows to `wal_bytes_max`; there the writing thread copies the rest
//! itself.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::{Connection, Error as SqlError};

/// Growth of the log after which it is copied.
const STEP_BYTES_MAX: u64 = 4 << 20;
/// A page of the log with its header.
const PAGE_BYTES: u64 = 4096 + 24;

thread_local! {
    /// Pages of the log after the last commit of this thread.
    static PAGES: Cell<u64> = const { Cell::new(0) };
}

/// Counts the log's pages at each commit, in place of SQLite's automatic checkpoint. To be called
/// for every connection on which this thread commits.
pub(crate) fn count_pages(connection: &Connection) {
    connection.wal_hook(Some(|_, pages| {
        PAGES.set(u64::from(pages.unsigned_abs()));
        Ok(())
    }));
}

/// The checkpoints of one database; used by the thread that commits.
pub(crate) struct Checkpoints {
    connection: Arc<Mutex<Connection>>,
    wanted: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Pages of the log that are in the file.
    copied: Arc<AtomicU64>,
    step: u64,
    pages_max: u64,
}

impl Checkpoints {
    /// Starts the thread. `failed` is called with its errors.
    pub(crate) fn start(
        connection: Connection,
        wal_bytes_max: u64,
        failed: impl Fn(SqlError) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (wanted, arriving) = sync_channel(1);
        let (connection, copied) = (Arc::new(Mutex::new(connection)), Arc::default());
        let thread = {
            let (connection, copied) = (Arc::clone(&connection), Arc::clone(&copied));
            let run = move || copy(&arriving, &connection, &copied, failed);
            std::thread::Builder::new().name("events-wal".to_owned()).spawn(run)?
        };
        let step = (STEP_BYTES_MAX.min(wal_bytes_max / 4) / PAGE_BYTES).max(1);
        let pages_max = (wal_bytes_max / PAGE_BYTES).max(1);
        Ok(Self { connection, wanted: Some(wanted), thread: Some(thread), copied, step, pages_max })
    }

    /// Called after each commit: requests a checkpoint when the log has grown, and waits for one
    /// when the log is too long.
    pub(crate) fn after_commit(&self) -> Result<(), SqlError> {
        let (pages, copied) = (PAGES.get(), self.copied.load(Ordering::Relaxed));
        if pages >= self.pages_max {
            metrics::counter!("sampan_events_checkpoints_total", "by" => "writer").increment(1);
            // Waits for the other thread; nothing is committed meanwhile, so no page is left.
            return checkpoint(&self.connection.lock(), &self.copied);
        }
        // Fewer than were copied: the log was restarted.
        let new = if pages < copied { pages } else { pages - copied };
        if new >= self.step
            && let Some(wanted) = &self.wanted
        {
            // A request that is pending already covers these too.
            let _ = wanted.try_send(());
        }
        Ok(())
    }
}

impl Drop for Checkpoints {
    /// Ends the thread, so that only the writing connection can run checkpoints.
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was logged where it happened.
            let _ = thread.join();
        }
    }
}

fn copy(wanted: &Receiver<()>, connection: &Mutex<Connection>, copied: &AtomicU64, failed: impl Fn(SqlError)) {
    while wanted.recv().is_ok() {
        metrics::counter!("sampan_events_checkpoints_total", "by" => "checkpointer").increment(1);
        if let Err(error) = checkpoint(&connection.lock(), copied) {
            failed(error);
        }
    }
}

fn checkpoint(connection: &Connection, copied: &AtomicU64) -> Result<(), SqlError> {
    let done: i64 = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2))?;
    copied.store(done.max(0).unsigned_abs(), Ordering::Relaxed);
    Ok(())
}

/// Copies the whole log and truncates it; for the end, when no statement runs any more.
pub(crate) fn truncate(connection: &Connection) -> Result<(), SqlError> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}
