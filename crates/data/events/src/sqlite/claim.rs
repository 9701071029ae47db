//! Claims: which rows a run takes, and which stay taken.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use types::{FunctionKey, TriggerId};

use super::claimed::Claimed;
use super::row;
use crate::error::Error;
use crate::policy::retry::History;

/// What a claim asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub function: FunctionKey,
    /// The events of one trigger, or those of none.
    pub trigger: Option<TriggerId>,
    pub rows_max: usize,
    /// Bytes of payloads; one row is claimed however large it is.
    pub bytes_max: u64,
    pub lease_until_ms: i64,
}

/// Claims the function's events of one trigger, or of none, that are due, oldest due time first, and
/// returns when the next one is.
pub(crate) fn claim(
    connection: &Connection,
    owner: &str,
    wanted: &Wanted,
    now_ms: i64,
) -> Result<(Vec<Claimed>, Option<i64>), Error> {
    let mut statement = connection.prepare_cached(
        "UPDATE events SET state = 1, owner = :owner, lease_until_ms = :lease, attempt = attempt + 1 WHERE id IN ( \
           SELECT id FROM ( \
             SELECT id, bytes, SUM(bytes) OVER (ORDER BY due_ms, id) AS total FROM ( \
               SELECT id, due_ms, bytes FROM events \
               WHERE state = 0 AND namespace = :namespace AND function = :function AND trigger_id = :trigger \
                 AND due_ms <= :now \
               ORDER BY due_ms, id LIMIT :rows)) \
           WHERE total - bytes < :bytes OR total = bytes) \
         RETURNING request_id, namespace, function, function_id, \
         qualifier, invoke_type, id, attempt, function_failures, \
           system_failures, retries_max, expires_ms, recoveries, accepted_ms, payload, last_status, last_result, \
           callback, depth, trigger_id",
    )?;
    let (namespace, function) = (wanted.function.namespace.as_str(), wanted.function.name.as_str());
    let rows = statement.query_map(
        named_params! {
            ":owner": owner, ":lease": wanted.lease_until_ms, ":namespace": namespace, ":function": function,
            ":trigger": row::trigger_text(wanted.trigger.as_ref()), ":now": now_ms, ":rows": wanted.rows_max as i64, ":bytes": wanted.bytes_max as i64,
        },
        claimed,
    )?;
    let mut claimed = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    claimed.sort_unstable_by_key(|event| event.id);
    Ok((claimed, next_due(connection, wanted)?))
}

fn claimed(columns: &Row<'_>) -> rusqlite::Result<Claimed> {
    let (request_id, address, invoke_type) = row::head(columns, 0)?;
    Ok(Claimed {
        id: columns.get(6)?,
        attempt: columns.get(7)?,
        request_id,
        address,
        invoke_type,
        history: History {
            function_failures: columns.get(8)?,
            system_failures: columns.get(9)?,
            retries_max: columns.get(10)?,
            expires_ms: columns.get(11)?,
        },
        recoveries: columns.get(12)?,
        accepted_ms: columns.get(13)?,
        payload: columns.get::<_, Vec<u8>>(14)?.into(),
        last_status: row::status(columns, 15)?,
        last_result: columns.get(16)?,
        callback: columns.get(17)?,
        depth: columns.get(18)?,
        trigger: row::trigger(columns, 19)?,
    })
}

fn next_due(connection: &Connection, wanted: &Wanted) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT due_ms FROM events WHERE state = 0 AND namespace = ?1 AND function = ?2 AND trigger_id = ?3 \
         ORDER BY due_ms, id LIMIT 1",
    )?;
    let FunctionKey { namespace, name } = &wanted.function;
    let of = [namespace.as_str(), name.as_str(), row::trigger_text(wanted.trigger.as_ref())];
    Ok(statement.query_row(of, |row| row.get(0)).optional()?)
}

/// Keeps the claims of runs that go on.
pub(crate) fn renew(connection: &Connection, owner: &str, lease_until_ms: i64) -> Result<(), Error> {
    let mut statement =
        connection.prepare_cached("UPDATE events SET lease_until_ms = ?1 WHERE state = 1 AND owner = ?2")?;
    statement.execute((lease_until_ms, owner))?;
    Ok(())
}
