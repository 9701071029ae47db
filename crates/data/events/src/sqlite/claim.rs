//! Claims: which rows a run takes, and how claims are kept.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, named_params};
use types::{FunctionKey, TriggerId};

use super::claimed::Claimed;
use super::row;
use crate::error::Error;

/// Parameters of a claim.
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

/// Result of a claim.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Oldest first.
    pub events: Vec<Claimed>,
    /// The readable parts of damaged rows, and the errors.
    pub unreadable: Vec<(Claimed, String)>,
    /// When the next one is due.
    pub next_due_ms: Option<i64>,
}

/// The statement of a claim.
static CLAIM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE events SET state = 1, owner = :owner, lease_until_ms = :lease, attempt = attempt + 1 WHERE id IN ( \
           SELECT id FROM ( \
             SELECT id, bytes, SUM(bytes) OVER (ORDER BY due_ms, id) AS total FROM ( \
               SELECT id, due_ms, bytes FROM events \
               WHERE state = 0 AND namespace = :namespace AND function = :function AND trigger_id = :trigger \
                 AND due_ms <= :now \
               ORDER BY due_ms, id LIMIT :rows)) \
           WHERE total - bytes < :bytes OR total = bytes) \
         RETURNING {}",
        Claimed::COLUMNS
    )
});

/// Claims the function's due events of one trigger, or of none, oldest due time first, and returns
/// when the next one is due.
pub(crate) fn claim(connection: &Connection, owner: &str, wanted: &Wanted, now_ms: i64) -> Result<Taken, Error> {
    let mut statement = connection.prepare_cached(&CLAIM)?;
    let (namespace, function) = (wanted.function.namespace.as_str(), wanted.function.name.as_str());
    let mut taken = Taken::default();
    let mut rows = statement.query(named_params! {
        ":owner": owner, ":lease": wanted.lease_until_ms, ":namespace": namespace, ":function": function,
        ":trigger": row::trigger_text(wanted.trigger.as_ref()), ":now": now_ms, ":rows": wanted.rows_max as i64,
        ":bytes": wanted.bytes_max as i64,
    })?;
    while let Some(columns) = rows.next()? {
        match Claimed::read(columns) {
            Ok(event) => taken.events.push(event),
            Err(error) => {
                taken.unreadable.push((Claimed::salvaged(columns, wanted.function.clone()), error.to_string()));
            }
        }
    }
    taken.events.sort_unstable_by_key(|event| event.id);
    taken.next_due_ms = next_due(connection, wanted)?;
    Ok(taken)
}

fn next_due(connection: &Connection, wanted: &Wanted) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT due_ms FROM events WHERE state = 0 AND namespace = ?1 AND function = ?2 AND trigger_id = ?3 \
         ORDER BY due_ms, id LIMIT 1",
    )?;
    let FunctionKey { namespace, name } = &wanted.function;
    let of = [namespace.as_str(), name.as_str(), row::trigger_text(wanted.trigger.as_ref())];
    // A value that is not a time sorts after all times, and is never due.
    Ok(statement.query_row(of, |row| Ok(row.get(0).ok())).optional()?.flatten())
}

/// Renews the claims of current runs.
pub(crate) fn renew(connection: &Connection, owner: &str, lease_until_ms: i64) -> Result<(), Error> {
    let mut statement =
        connection.prepare_cached("UPDATE events SET lease_until_ms = ?1 WHERE state = 1 AND owner = ?2")?;
    statement.execute((lease_until_ms, owner))?;
    Ok(())
}
