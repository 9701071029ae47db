//! Source keys: the first event with each, until the key expires.

use rusqlite::{Connection, OptionalExtension};
use types::{FunctionId, RequestId};

use super::row;
use crate::error::Error;
use crate::event::SourceKey;

/// The first event with a key, while the key is kept.
pub(crate) fn find(
    connection: &Connection,
    function: &FunctionId,
    of: &SourceKey,
    now_ms: i64,
) -> Result<Option<RequestId>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT request_id FROM source_keys WHERE function_id = ?1 AND source = ?2 AND key = ?3 AND expires_ms > ?4",
    )?;
    let first = statement
        .query_row((function.as_str(), of.source.as_ref(), of.key.as_str(), now_ms), |columns| row::parsed(columns, 0));
    Ok(first.optional()?)
}

/// Stores the key of an event; replaces an expired one.
pub(crate) fn keep(
    connection: &Connection,
    function: &FunctionId,
    of: &SourceKey,
    event: &RequestId,
    expires_ms: i64,
) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO source_keys (function_id, source, key, request_id, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (function_id, source, key) DO UPDATE SET request_id = excluded.request_id, \
         expires_ms = excluded.expires_ms",
    )?;
    statement.execute((function.as_str(), of.source.as_ref(), of.key.as_str(), event.as_str(), expires_ms))?;
    Ok(())
}

/// Removes the matching keys of a source, and returns how many there were.
pub(crate) fn forget(connection: &Connection, source: &str, matches: impl Fn(&str) -> bool) -> Result<usize, Error> {
    let mut all = connection.prepare_cached("SELECT function_id, key FROM source_keys WHERE source = ?1")?;
    let keys = all.query_map([source], |columns| Ok((columns.get(0)?, columns.get(1)?)))?;
    let keys: Vec<(String, String)> = keys.collect::<rusqlite::Result<_>>()?;
    let mut delete =
        connection.prepare_cached("DELETE FROM source_keys WHERE function_id = ?1 AND source = ?2 AND key = ?3")?;
    let mut forgotten = 0;
    for (function, key) in keys.iter().filter(|(_, key)| matches(key)) {
        forgotten += delete.execute((function, source, key))?;
    }
    Ok(forgotten)
}

/// Removes keys that have expired, a few at a time.
pub(crate) fn prune(connection: &Connection, now_ms: i64, rows_max: usize) -> Result<usize, Error> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM source_keys WHERE (function_id, source, key) IN ( \
           SELECT function_id, source, key FROM source_keys WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
    )?;
    Ok(statement.execute((now_ms, rows_max as i64))?)
}
