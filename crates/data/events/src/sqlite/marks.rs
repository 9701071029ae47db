//! Marks of polling sources.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Error;

/// The mark of a source.
pub(crate) fn find(connection: &Connection, source: &str) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT mark_ms FROM marks WHERE source = ?1")?;
    Ok(statement.query_row([source], |columns| columns.get(0)).optional()?)
}

/// Sets it.
pub(crate) fn keep(connection: &Connection, source: &str, mark_ms: i64) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO marks (source, mark_ms) VALUES (?1, ?2) ON CONFLICT (source) DO UPDATE SET mark_ms = \
         excluded.mark_ms",
    )?;
    statement.execute((source, mark_ms))?;
    Ok(())
}

/// Removes it.
pub(crate) fn forget(connection: &Connection, source: &str) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM marks WHERE source = ?1")?.execute([source])?;
    Ok(())
}
