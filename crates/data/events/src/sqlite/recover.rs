//! Recovery at a start: claims of a process that has ended, and waiting events.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use types::{FunctionKey, TriggerId};

use super::claimed::Claimed;
use super::{row, terminate};
use crate::error::Error;
use crate::event::Address;

/// Events that ran when the previous process ended.
#[derive(Debug, Default)]
pub(crate) struct Interrupted {
    /// Those that wait for another claim: their address, how often the platform has ended during a
    /// run of each, this time included, and their number.
    pub freed: Vec<(Address, u32, u64)>,
    /// Released ones whose address cannot be read.
    pub unreadable: u64,
    /// Those with a termination request, which have ended with their owner.
    pub aborted: Vec<Claimed>,
}

/// Releases the claims of an owner that has ended, and counts the interruption of each event. With
/// the embedded queue there is one owner at a time, so at a start all claims are such. Events with
/// a termination request have ended with their owner; `aborted` stores the deliveries of each of
/// those ends.
pub(crate) fn recover(
    connection: &Connection,
    now_ms: i64,
    aborted: impl Fn(&Connection, &Claimed) -> Result<(), Error>,
) -> Result<Interrupted, Error> {
    // Immediate, because it reads first: a deferred transaction that becomes a writer later does
    // not wait for another one.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let mut found = Interrupted { aborted: Claimed::to_end(&transaction)?, ..Interrupted::default() };
    terminate::abort(&transaction, "state = 1 AND terminate = 1", [], now_ms)?;
    found.aborted.iter().try_for_each(|event| aborted(&transaction, event))?;
    transaction.execute("UPDATE events SET recoveries = recoveries + 1 WHERE state = 1", [])?;
    interrupted(&transaction, &mut found)?;
    transaction.execute("UPDATE events SET state = 0, owner = NULL, lease_until_ms = NULL WHERE state = 1", [])?;
    transaction.commit()?;
    Ok(found)
}

/// Adds claimed events, by address and number of interruptions.
fn interrupted(connection: &Connection, found: &mut Interrupted) -> Result<(), Error> {
    let mut statement = connection.prepare(
        "SELECT namespace, function, function_id, qualifier, recoveries, COUNT(*) FROM events WHERE state = 1 \
         GROUP BY namespace, function, function_id, qualifier, recoveries",
    )?;
    let mut rows = statement.query([])?;
    while let Some(columns) = rows.next()? {
        let events = columns.get::<_, i64>(5)?.unsigned_abs();
        match row::address(columns, 0) {
            Ok(address) => found.freed.push((address, columns.get(4).unwrap_or(0), events)),
            Err(_) => found.unreadable += events,
        }
    }
    Ok(())
}

/// Waiting events of one function, of one trigger or of none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub function: FunctionKey,
    pub trigger: Option<TriggerId>,
    pub rows: u64,
    pub bytes: u64,
    pub next_due_ms: i64,
}

/// Waiting events, by function and trigger; read at a start from the index alone. Rows whose
/// function cannot be read are skipped: they stay, and are logged.
pub(crate) fn waiting(connection: &Connection) -> Result<Vec<Waiting>, Error> {
    let mut statement = connection.prepare(
        "SELECT namespace, function, trigger_id, COUNT(*), CAST(SUM(bytes) AS INTEGER), MIN(due_ms) \
         FROM events WHERE state = 0 \
         GROUP BY namespace, function, trigger_id",
    )?;
    let rows = statement.query_map([], |columns| {
        Ok(Waiting {
            function: FunctionKey { namespace: row::parsed(columns, 0)?, name: row::parsed(columns, 1)? },
            trigger: row::trigger(columns, 2)?,
            rows: columns.get::<_, i64>(3)?.unsigned_abs(),
            bytes: columns.get::<_, i64>(4)?.unsigned_abs(),
            next_due_ms: columns.get(5)?,
        })
    })?;
    Ok(row::readable(rows)?)
}
