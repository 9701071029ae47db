//! Dead letters: written with the end of the last run, listed, redriven, purged.

use rusqlite::{Connection, Row, named_params};
use types::{Namespace, RequestId, RunStatus};

use super::claim::Claimed;
use super::finish::End;
use super::row;
use crate::error::Error;
use crate::event::{DeadLetter, NewEvent};
use crate::policy::retry::Reason;

/// Keeps an event as a dead letter; beyond the bound of its namespace the oldest makes room.
pub(crate) fn keep(
    connection: &Connection,
    event: &Claimed,
    reason: Reason,
    end: &End,
    namespace_max: u64,
) -> Result<(), Error> {
    let namespace = event.address.function.namespace.as_str();
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO dead_letters (request_id, namespace, function, function_id, \
         qualifier, invoke_type, reason, status, \
         attempts, accepted_ms, died_ms, result, retries_max, payload) VALUES (:id, :namespace, :function, \
         :function_id, \
         :qualifier, :kind, :reason, :status, :attempts, :accepted, :now, :result, :retries, :payload)",
    )?;
    statement.execute(named_params! {
        ":id": event.request_id.as_str(),
        ":namespace": namespace,
        ":function": event.address.function.name.as_str(),
        ":function_id": event.address.function_id.as_str(),
        ":qualifier": event.address.qualifier.to_string(),
        ":kind": event.invoke_type.as_str(),
        ":reason": reason.as_str(),
        ":status": end.status.map(RunStatus::code),
        ":attempts": event.attempt,
        ":accepted": event.accepted_ms,
        ":now": end.now_ms,
        ":result": end.result,
        ":retries": event.history.retries_max,
        ":payload": event.payload.as_ref(),
    })?;
    connection
        .prepare_cached(
            "DELETE FROM dead_letters WHERE namespace = ?1 AND id <= ( \
               SELECT id FROM dead_letters WHERE namespace = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute((namespace, namespace_max as i64))?;
    Ok(())
}

/// The dead letters of a namespace, oldest first; payloads stay in the file.
pub(crate) fn list(
    connection: &Connection,
    namespace: &Namespace,
    offset: usize,
    rows_max: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT request_id, namespace, function, function_id, qualifier, invoke_type, reason, status, \
         attempts, accepted_ms, died_ms, result, LENGTH(payload) FROM dead_letters \
         WHERE namespace = ?1 ORDER BY id LIMIT ?2 OFFSET ?3",
    )?;
    let rows = statement.query_map((namespace.as_str(), rows_max as i64, offset as i64), letter)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn letter(columns: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let (request_id, address, invoke_type) = row::head(columns, 0)?;
    Ok(DeadLetter {
        request_id,
        address,
        invoke_type,
        reason: columns.get(6)?,
        status: row::status(columns, 7)?,
        attempts: columns.get(8)?,
        accepted_ms: columns.get(9)?,
        died_ms: columns.get(10)?,
        result: columns.get(11)?,
        payload_bytes: columns.get::<_, i64>(12)?.unsigned_abs(),
    })
}

/// Takes one dead letter away and returns it as an event to be accepted.
pub(crate) fn take(connection: &Connection, id: &RequestId, ttl_s: u32) -> Result<NewEvent, Error> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM dead_letters WHERE request_id = ?1 RETURNING request_id, namespace, function, \
         function_id, qualifier, invoke_type, retries_max, payload",
    )?;
    let mut rows = statement.query_map([id.as_str()], |columns| {
        let (request_id, address, invoke_type) = row::head(columns, 0)?;
        let payload = columns.get::<_, Vec<u8>>(7)?.into();
        Ok(NewEvent { request_id, address, invoke_type, payload, retries_max: columns.get(6)?, ttl_s, delay_s: 0 })
    })?;
    rows.next().transpose()?.ok_or_else(|| Error::NotFound(id.clone()))
}

/// Removes the dead letters of a namespace, a few at a time, and returns how many.
pub(crate) fn purge(connection: &Connection, namespace: &Namespace, rows_max: usize) -> Result<usize, Error> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE namespace = ?1 LIMIT ?2)",
    )?;
    Ok(statement.execute((namespace.as_str(), rows_max as i64))?)
}
