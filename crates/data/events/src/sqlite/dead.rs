//! Dead letters: written with the end of the last run, listed, redriven, purged.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params};
use types::{RequestId, RunStatus, TriggerId};

use super::claimed::Claimed;
use super::finish::End;
use super::insert::Origin;
use super::row;
use crate::delivery::Kept;
use crate::error::Error;
use crate::event::{DeadLetter, DeadLetters, NewEvent};
use crate::policy::retry::Reason;

/// Stores an event as a dead letter; see [`make_room`] for the limit of its namespace.
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
         attempts, accepted_ms, died_ms, result, retries_max, payload, callback, trigger_id, array_place) \
         VALUES (:id, :namespace, :function, \
         :function_id, \
         :qualifier, :kind, :reason, :status, :attempts, :accepted, :now, :result, :retries, :payload, :callback, \
         :trigger, :array)",
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
        ":attempts": end.attempts,
        ":accepted": event.accepted_ms,
        ":now": end.now_ms,
        ":result": end.result,
        ":retries": event.history.retries_max,
        ":payload": event.payload.as_ref(),
        ":callback": event.callback,
        ":trigger": row::trigger_text(event.trigger.as_ref()),
        ":array": event.array.map(|place| place.to_string()),
    })?;
    make_room(connection, namespace, namespace_max)
}

/// Removes dead letters of a namespace beyond its limit, a hundredth of the limit at a time: the
/// oldest of the function that has the most, so that one function that always fails does not take
/// the place of the others'.
pub(crate) fn make_room(connection: &Connection, namespace: &str, namespace_max: u64) -> Result<(), Error> {
    let excess = count(connection, namespace)?.saturating_sub(namespace_max);
    if excess == 0 {
        return Ok(());
    }
    let mut left = excess.max(namespace_max / 100);
    while left > 0 {
        let function: String = connection
            .prepare_cached(
                "SELECT function FROM dead_letters WHERE namespace = ?1 AND redriven_ms IS NULL \
                 GROUP BY function ORDER BY COUNT(*) DESC, MIN(id) LIMIT 1",
            )?
            .query_row([namespace], |row| row.get(0))?;
        let removed = connection
            .prepare_cached(
                "DELETE FROM dead_letters WHERE id IN ( \
                   SELECT id FROM dead_letters WHERE namespace = ?1 AND redriven_ms IS NULL AND function = ?2 \
                   ORDER BY id LIMIT ?3)",
            )?
            .execute((namespace, &function, left as i64))? as u64;
        metrics::counter!("sampan_events_dead_letters_removed_total").increment(removed);
        tracing::warn!(
            namespace,
            function,
            removed,
            "removed the oldest dead letters of a function; the namespace has events.dead_letters_max of them"
        );
        left = left.saturating_sub(removed.max(1));
    }
    Ok(())
}

fn count(connection: &Connection, namespace: &str) -> Result<u64, Error> {
    let mut statement =
        connection.prepare_cached("SELECT COUNT(*) FROM dead_letters WHERE namespace = ?1 AND redriven_ms IS NULL")?;
    Ok(statement.query_row([namespace], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Columns of a [`DeadLetter`].
const COLUMNS: &str = "request_id, namespace, function, function_id, qualifier, invoke_type, reason, status, \
     attempts, accepted_ms, died_ms, result, LENGTH(payload), id, redriven_ms, delivery";

/// A page of dead letters after a row, oldest first; payloads stay in the file.
pub(crate) fn list(
    connection: &Connection,
    of: &DeadLetters,
    after: u64,
    rows_max: usize,
) -> Result<Vec<DeadLetter>, Error> {
    let text = format!("SELECT {COLUMNS} FROM dead_letters WHERE {} ORDER BY id LIMIT :rows", condition(of));
    let mut statement = connection.prepare_cached(&text)?;
    let (after, rows) = (after.min(i64::MAX as u64) as i64, rows_max as i64);
    let function = of.function.as_ref().map(|name| name.as_str());
    let mut values: Vec<(&str, &dyn ToSql)> = vec![(":after", &after), (":rows", &rows)];
    let namespace = of.namespace.as_str();
    values.push((":namespace", &namespace));
    if function.is_some() {
        values.push((":function", &function));
    }
    let found = statement.query_map(values.as_slice(), letter)?;
    Ok(row::readable(found)?)
}

fn condition(of: &DeadLetters) -> &'static str {
    match of.function {
        None => "namespace = :namespace AND redriven_ms IS NULL AND id > :after",
        Some(_) => "namespace = :namespace AND function = :function AND redriven_ms IS NULL AND id > :after",
    }
}

/// The rows of one event: redriven ones, oldest first, and its present dead letter, if it is one.
pub(crate) fn history(connection: &Connection, id: &RequestId) -> Result<Vec<DeadLetter>, Error> {
    let text = format!("SELECT {COLUMNS} FROM dead_letters WHERE request_id = ?1 ORDER BY id");
    let mut statement = connection.prepare_cached(&text)?;
    let rows = statement.query_map([id.as_str()], letter)?;
    Ok(row::readable(rows)?)
}

/// The payload of a dead letter.
pub(crate) fn payload(connection: &Connection, id: &RequestId) -> Result<Option<Bytes>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT payload FROM dead_letters WHERE request_id = ?1 AND redriven_ms IS NULL")?;
    let payload: Option<Vec<u8>> = statement.query_row([id.as_str()], |row| row.get(0)).optional()?;
    Ok(payload.map(Bytes::from))
}

/// The trigger of a dead letter's event.
pub(crate) fn trigger(connection: &Connection, id: &RequestId) -> Result<Option<TriggerId>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT trigger_id FROM dead_letters WHERE request_id = ?1 AND redriven_ms IS NULL")?;
    Ok(statement.query_row([id.as_str()], |columns| row::trigger(columns, 0)).optional()?.flatten())
}

fn letter(columns: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let (request_id, address, invoke_type) = row::head(columns, 0)?;
    Ok(DeadLetter {
        row: columns.get::<_, i64>(13)?.unsigned_abs(),
        request_id,
        address,
        invoke_type,
        reason: columns.get(6)?,
        status: row::status(columns, 7)?,
        attempts: columns.get(8)?,
        accepted_ms: columns.get(9)?,
        died_ms: columns.get(10)?,
        redriven_ms: columns.get(14)?,
        result: columns.get(11)?,
        payload_bytes: columns.get::<_, i64>(12)?.unsigned_abs(),
        destination: columns.get::<_, Option<String>>(15)?.as_deref().and_then(destination),
    })
}

/// The destination of a delivery.
fn destination(kept: &str) -> Option<String> {
    let kept: Kept = serde_json::from_str(kept).ok()?;
    Some(kept.destination.strip_prefix("url:").map(str::to_owned).unwrap_or(kept.destination))
}

/// The id of the newest dead letter's row, 0 without any.
pub(crate) fn newest(connection: &Connection) -> Result<u64, Error> {
    let newest: i64 = connection.query_row("SELECT COALESCE(MAX(id), 0) FROM dead_letters", [], |row| row.get(0))?;
    Ok(newest.unsigned_abs())
}

/// Turns a dead letter into history, and returns its event to be accepted as a new delivery: only
/// that row is left of its failed runs.
pub(crate) fn take(
    connection: &Connection,
    id: &RequestId,
    now_ms: i64,
    ttl_s: u32,
) -> Result<(NewEvent, Origin), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT request_id, namespace, function, function_id, qualifier, invoke_type, retries_max, payload, callback, \
         trigger_id, array_place FROM dead_letters WHERE request_id = ?1 AND redriven_ms IS NULL",
    )?;
    let found = statement.query_row([id.as_str()], |columns| {
        let (request_id, address, invoke_type) = row::head(columns, 0)?;
        let payload = columns.get::<_, Vec<u8>>(7)?.into();
        let retries_max = columns.get(6)?;
        // A redrive restarts the chain.
        let origin = Origin {
            callback: columns.get(8)?,
            depth: 0,
            trigger: row::trigger(columns, 9)?,
            array: row::array(columns, 10)?,
        };
        Ok((NewEvent { request_id, address, invoke_type, payload, retries_max, ttl_s, delay_s: 0 }, origin))
    });
    let event = found.optional()?.ok_or_else(|| Error::NotFound(id.clone()))?;
    make_history(connection, id, now_ms)?;
    // An event has one state: it waits again.
    connection.prepare_cached("DELETE FROM runs WHERE request_id = ?1")?.execute([id.as_str()])?;
    Ok(event)
}

/// Keeps the row of a redriven dead letter, without its payload.
pub(crate) fn make_history(connection: &Connection, id: &RequestId, now_ms: i64) -> Result<(), Error> {
    connection
        .prepare_cached(
            "UPDATE dead_letters SET redriven_ms = ?2, payload = x'' WHERE request_id = ?1 AND redriven_ms IS NULL",
        )?
        .execute((id.as_str(), now_ms))?;
    Ok(())
}

/// Removes one dead letter with its history.
pub(crate) fn purge_one(connection: &Connection, id: &RequestId) -> Result<(), Error> {
    if payload(connection, id)?.is_none() {
        return Err(Error::NotFound(id.clone()));
    }
    connection.prepare_cached("DELETE FROM dead_letters WHERE request_id = ?1")?.execute([id.as_str()])?;
    Ok(())
}

/// Removes dead letters up to a row, a few at a time, and returns how many.
pub(crate) fn purge(connection: &Connection, of: &DeadLetters, up_to: u64, rows_max: usize) -> Result<usize, Error> {
    let found = list(connection, of, 0, rows_max)?;
    let rows = found.iter().filter(|letter| letter.row <= up_to);
    let mut statement = connection.prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?;
    let mut removed = 0;
    for letter in rows {
        removed += statement.execute([letter.row as i64])?;
    }
    Ok(removed)
}

/// Removes expired history, a few rows at a time.
pub(crate) fn prune(connection: &Connection, before_ms: i64, rows_max: usize) -> Result<usize, Error> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE redriven_ms < ?1 LIMIT ?2)",
    )?;
    Ok(statement.execute((before_ms, rows_max as i64))?)
}
