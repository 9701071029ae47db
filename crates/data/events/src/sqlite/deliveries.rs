//! Deliveries to destinations and callbacks: written with the end of a run, claimed, retried.

use rusqlite::{Connection, Row, named_params, params_from_iter};
use types::RequestId;

use super::row;
use crate::delivery::{Delivery, Destination, Kept};
use crate::error::Error;

/// A claimed delivery.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub id: i64,
    pub attempt: u32,
    pub expires_ms: i64,
    pub delivery: Delivery,
}

/// Stores a delivery that is due at once.
pub(crate) fn insert(connection: &Connection, of: &Delivery, due_ms: i64, ttl_s: u64) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO deliveries (request_id, namespace, function, function_id, qualifier, depth, destination, host, \
         headers, state, due_ms, accepted_ms, expires_ms, attempt, body) VALUES (:id, :namespace, :function, \
         :function_id, :qualifier, :depth, :destination, :host, :headers, 0, :due, :accepted, :expires, 0, :body)",
    )?;
    statement.execute(named_params! {
        ":id": of.request_id.as_str(),
        ":namespace": of.address.function.namespace.as_str(),
        ":function": of.address.function.name.as_str(),
        ":function_id": of.address.function_id.as_str(),
        ":qualifier": of.address.qualifier.to_string(),
        ":depth": of.depth,
        ":destination": of.destination.to_string(),
        ":host": of.destination.host(),
        ":headers": headers_text(of),
        ":due": due_ms,
        ":accepted": of.accepted_ms,
        ":expires": due_ms.saturating_add((ttl_s as i64).saturating_mul(1000)),
        ":body": of.body.as_ref(),
    })?;
    Ok(())
}

fn headers_text(of: &Delivery) -> String {
    serde_json::to_string(&of.headers).expect("texts always serialize")
}

/// Claims due deliveries, oldest first, to none of the busy hosts and to no host more than its
/// limit; returns when the next one is due.
pub(crate) fn claim(
    connection: &Connection,
    now_ms: i64,
    rows_max: usize,
    host_rows_max: usize,
    busy: &[String],
) -> Result<(Vec<Claimed>, Option<i64>), Error> {
    let marks = vec!["?"; busy.len()].join(", ");
    let text = format!(
        "UPDATE deliveries SET state = 1, attempt = attempt + 1 WHERE id IN ( \
           SELECT id FROM (SELECT id, due_ms, \
             ROW_NUMBER() OVER (PARTITION BY host ORDER BY due_ms, id) AS place FROM ( \
             SELECT id, host, due_ms FROM deliveries WHERE state = 0 AND due_ms <= {now_ms} AND host NOT IN ({marks}) \
             ORDER BY due_ms, id LIMIT 1000)) \
           WHERE place <= {host_rows_max} ORDER BY due_ms, id LIMIT {rows_max}) \
         RETURNING request_id, namespace, function, function_id, qualifier, id, attempt, expires_ms, depth, \
           destination, headers, accepted_ms, body"
    );
    let mut statement = connection.prepare(&text)?;
    let rows = statement.query_map(params_from_iter(busy), claimed)?;
    // An unreadable one stays claimed until the next start, and delays no other.
    let mut claimed = row::readable(rows)?;
    claimed.sort_unstable_by_key(|delivery| delivery.id);
    let next = format!("SELECT MIN(due_ms) FROM deliveries WHERE state = 0 AND host NOT IN ({marks})");
    let next = connection.prepare(&next)?.query_row(params_from_iter(busy), |row| row.get(0))?;
    Ok((claimed, next))
}

fn claimed(columns: &Row<'_>) -> rusqlite::Result<Claimed> {
    let address = row::address(columns, 1)?;
    Ok(Claimed {
        id: columns.get(5)?,
        attempt: columns.get(6)?,
        expires_ms: columns.get(7)?,
        delivery: Delivery {
            request_id: row::parsed(columns, 0)?,
            address,
            depth: columns.get(8)?,
            destination: destination(columns, 9)?,
            headers: serde_json::from_str(columns.get_ref(10)?.as_str()?).unwrap_or_default(),
            accepted_ms: columns.get(11)?,
            body: columns.get::<_, Vec<u8>>(12)?.into(),
        },
    })
}

fn destination(columns: &Row<'_>, at: usize) -> rusqlite::Result<Destination> {
    let text = columns.get_ref(at)?.as_str()?;
    Destination::stored(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error)))
}

/// Reschedules a delivery for another attempt.
pub(crate) fn again(connection: &Connection, id: i64, due_ms: i64) -> Result<(), Error> {
    let mut statement = connection.prepare_cached("UPDATE deliveries SET state = 0, due_ms = ?2 WHERE id = ?1")?;
    statement.execute((id, due_ms))?;
    Ok(())
}

/// Removes a delivery.
pub(crate) fn remove(connection: &Connection, id: i64) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM deliveries WHERE id = ?1")?.execute([id])?;
    Ok(())
}

/// Releases the deliveries of an earlier process, and counts all.
pub(crate) fn recover(connection: &Connection) -> Result<u64, Error> {
    connection.execute("UPDATE deliveries SET state = 0 WHERE state = 1", [])?;
    let rows: i64 = connection.query_row("SELECT COUNT(*) FROM deliveries", [], |row| row.get(0))?;
    Ok(rows.unsigned_abs())
}

/// Stores a delivery as a dead letter of the function whose event ended.
pub(crate) fn bury(
    connection: &Connection,
    of: &Delivery,
    reason: &str,
    attempts: u32,
    why: &str,
    now_ms: i64,
    namespace_max: u64,
) -> Result<(), Error> {
    let kept = Kept { destination: of.destination.to_string(), headers: of.headers.clone() };
    let kept = serde_json::to_string(&kept).expect("texts always serialize");
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO dead_letters (request_id, namespace, function, function_id, qualifier, invoke_type, \
         reason, status, attempts, accepted_ms, died_ms, result, retries_max, payload, delivery) \
         VALUES (:id, :namespace, :function, :function_id, :qualifier, 'INVOKE', :reason, NULL, :attempts, :accepted, \
         :now, :why, 0, :body, :kept)",
    )?;
    statement.execute(named_params! {
        ":id": of.request_id.as_str(),
        ":namespace": of.address.function.namespace.as_str(),
        ":function": of.address.function.name.as_str(),
        ":function_id": of.address.function_id.as_str(),
        ":qualifier": of.address.qualifier.to_string(),
        ":reason": reason,
        ":attempts": attempts,
        ":accepted": of.accepted_ms,
        ":now": now_ms,
        ":why": why,
        ":body": of.body.as_ref(),
        ":kept": kept,
    })?;
    super::dead::make_room(connection, of.address.function.namespace.as_str(), namespace_max)
}

/// Turns a delivery's dead letter into history, and returns it to be sent again; `None` when it is
/// an event's.
pub(crate) fn take(connection: &Connection, id: &RequestId, now_ms: i64) -> Result<Option<Delivery>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT request_id, namespace, function, function_id, qualifier, accepted_ms, payload, delivery \
         FROM dead_letters WHERE request_id = ?1 AND redriven_ms IS NULL AND delivery IS NOT NULL",
    )?;
    let mut found = statement.query_map([id.as_str()], |columns| {
        let address = row::address(columns, 1)?;
        let invalid = |error: Box<dyn std::error::Error + Send + Sync>| {
            rusqlite::Error::FromSqlConversionFailure(7, rusqlite::types::Type::Text, error)
        };
        let kept: Kept =
            serde_json::from_str(columns.get_ref(7)?.as_str()?).map_err(|error| invalid(Box::new(error)))?;
        Ok(Delivery {
            request_id: row::parsed(columns, 0)?,
            address,
            // A redrive restarts the chain.
            depth: 1,
            destination: Destination::stored(&kept.destination).map_err(|error| invalid(Box::new(error)))?,
            headers: kept.headers,
            accepted_ms: columns.get(5)?,
            body: columns.get::<_, Vec<u8>>(6)?.into(),
        })
    })?;
    let Some(delivery) = found.next().transpose()? else { return Ok(None) };
    super::dead::make_history(connection, id, now_ms)?;
    Ok(Some(delivery))
}
