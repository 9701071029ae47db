//! Opens the file: durability, schema.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::Error;

const SCHEMA: &str = include_str!("schema.sql");
/// Upgrades a file of schema 1 to schema 2.
const UPGRADE_2: &str = include_str!("upgrade_2.sql");
/// The schema that this program writes.
const VERSION: i64 = 2;
/// Payloads are private to the owner.
const FILE_MODE: u32 = 0o600;
/// How long a statement waits for a lock of another process, such as a backup.
const BUSY: Duration = Duration::from_secs(5);
/// Size of the writer's page cache: for the pages of the indexes, whose keys are random.
const CACHE_KIB: i64 = 16 << 10;
/// Prepared statements that stay cached.
const STATEMENTS_MAX: usize = 64;

/// Opens the queue for writing; creates it when it is missing.
pub(crate) fn open(path: &Path) -> Result<Connection, Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    make_file(path)?;
    let connection = Connection::open(path).map_err(failed)?;
    prepare(&connection).map_err(failed)?;
    let found = version(&connection).map_err(failed)?;
    match found {
        None => connection.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;")).map_err(failed)?,
        Some(VERSION) => {}
        Some(1) => connection.execute_batch(&format!("BEGIN IMMEDIATE; {UPGRADE_2} COMMIT;")).map_err(failed)?,
        Some(found) => return Err(Error::NewerSchema { found, known: VERSION }),
    }
    Ok(connection)
}

/// Opens the queue for writing again, beside existing connections, using SQLite alone. Closing a
/// descriptor of our own would release their locks, as POSIX defines them
/// (sqlite.org/howtocorrupt.html, 2.2), and another process could delete the log under them.
pub(crate) fn reopen(path: &Path) -> Result<Connection, Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    prepare(&connection).map_err(failed)?;
    match version(&connection).map_err(failed)? {
        Some(VERSION) => Ok(connection),
        found => Err(Error::NewerSchema { found: found.unwrap_or_default(), known: VERSION }),
    }
}

/// Opens the queue for reading, beside the writer.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    Ok(connection)
}

/// Opens the queue beside the writer, for checkpoints.
pub(crate) fn open_beside(path: &Path) -> Result<Connection, Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    // The log is reset only after the file was synced.
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    Ok(connection)
}

/// Creates the file with access for its owner alone: SQLite gives its journals the same mode. A
/// file that an earlier version made readable to others is restricted.
fn make_file(path: &Path) -> Result<(), Error> {
    let opened = OpenOptions::new().create(true).append(true).mode(FILE_MODE).open(path);
    let closed = opened.and_then(|file| file.set_permissions(Permissions::from_mode(FILE_MODE)));
    closed.map_err(|source| Error::File { path: path.to_owned(), source })
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // An acknowledged event survives a power failure: each commit is synced.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // A savepoint of large changes keeps the previous pages in memory, not in a file.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let there: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'schema_version')",
        [],
        |row| row.get(0),
    )?;
    if !there {
        return Ok(None);
    }
    connection.query_row("SELECT version FROM schema_version", [], |row| row.get(0)).map(Some)
}
