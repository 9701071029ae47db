//! States: of one event, and pages of a function's.

use rusqlite::types::ToSql;
use rusqlite::{Connection, Row};
use types::{ExitStatus, RequestId};

use super::row;
use crate::error::Error;
use crate::event::{EventStatus, ListQuery};

/// Waiting, running and ended events, as one list.
const ALL: &str = "SELECT request_id, namespace, function, function_id, \
     qualifier, invoke_type, 0 AS state, last_status AS status, \
     attempt AS attempts, accepted_ms, NULL AS ended_ms, last_result AS result, \
     NULL AS result_bytes, NULL AS exit_code, NULL AS exit_signal, NULL AS out_of_memory, \
     CASE WHEN state = 0 THEN due_ms END AS next_ms FROM events \
     UNION ALL SELECT request_id, namespace, function, function_id, \
     qualifier, invoke_type, state, status, attempts, accepted_ms, \
     ended_ms, result, result_bytes, exit_code, exit_signal, out_of_memory, NULL FROM runs";

/// The page, and the total number of matches.
pub(crate) fn page(connection: &Connection, of: &ListQuery) -> Result<(u64, Vec<EventStatus>), Error> {
    let mut conditions = vec!["function_id = ?".to_owned()];
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(of.function_id.as_str().to_owned())];
    if let Some(qualifier) = &of.qualifier {
        conditions.push("qualifier = ?".to_owned());
        values.push(Box::new(qualifier.to_string()));
    }
    if let Some(id) = &of.request_id {
        conditions.push("request_id = ?".to_owned());
        values.push(Box::new(id.as_str().to_owned()));
    }
    one_of(&mut conditions, &mut values, "invoke_type", of.invoke_types.iter().map(|kind| kind.as_str().to_owned()));
    one_of(&mut conditions, &mut values, "state", of.states.iter().map(|state| row::state_number(*state)));
    for (column, interval) in [("accepted_ms", of.accepted_ms), ("ended_ms", of.ended_ms)] {
        if let Some((from, to)) = interval {
            conditions.push(format!("{column} >= ? AND {column} < ?"));
            values.push(Box::new(from));
            values.push(Box::new(to));
        }
    }
    let found = format!("FROM ({ALL}) WHERE {}", conditions.join(" AND "));
    let given: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    let count = format!("SELECT COUNT(*) {found}");
    let total: i64 = connection.query_row(&count, given.as_slice(), |row| row.get(0))?;
    let (column, direction) =
        (if of.by_end { "ended_ms" } else { "accepted_ms" }, if of.ascending { "ASC" } else { "DESC" });
    let text =
        format!("SELECT * {found} ORDER BY {column} {direction}, request_id LIMIT {} OFFSET {}", of.limit, of.offset);
    let mut statement = connection.prepare(&text)?;
    let rows = statement.query_map(given.as_slice(), status)?;
    Ok((total.unsigned_abs(), row::readable(rows)?))
}

fn one_of<T: ToSql + 'static>(
    conditions: &mut Vec<String>,
    values: &mut Vec<Box<dyn ToSql>>,
    column: &str,
    allowed: impl Iterator<Item = T>,
) {
    let before = values.len();
    values.extend(allowed.map(|value| Box::new(value) as Box<dyn ToSql>));
    let marks = vec!["?"; values.len() - before].join(", ");
    if !marks.is_empty() {
        conditions.push(format!("{column} IN ({marks})"));
    }
}

/// The state of one event.
pub(crate) fn find(connection: &Connection, id: &RequestId) -> Result<Option<EventStatus>, Error> {
    let mut statement = connection.prepare_cached(&format!("SELECT * FROM ({ALL}) WHERE request_id = ?1"))?;
    let rows = statement.query_map([id.as_str()], status)?;
    Ok(row::readable(rows)?.pop())
}

fn status(columns: &Row<'_>) -> rusqlite::Result<EventStatus> {
    let (request_id, address, invoke_type) = row::head(columns, 0)?;
    Ok(EventStatus {
        request_id,
        address,
        invoke_type,
        state: row::state(columns.get(6)?),
        status: row::status(columns, 7)?,
        attempts: columns.get(8)?,
        accepted_ms: columns.get(9)?,
        ended_ms: columns.get(10)?,
        result: columns.get(11)?,
        result_bytes: columns.get::<_, Option<i64>>(12)?.map(i64::cast_unsigned),
        exit: exit(columns, 13)?,
        next_ms: columns.get(16)?,
    })
}

/// `exit_code, exit_signal, out_of_memory` from column `at` on.
fn exit(columns: &Row<'_>, at: usize) -> rusqlite::Result<Option<ExitStatus>> {
    let Some(out_of_memory) = columns.get(at + 2)? else { return Ok(None) };
    Ok(Some(ExitStatus { code: columns.get(at)?, signal: columns.get(at + 1)?, out_of_memory }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_found_by_indexes_however_many_others_there_are() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema.sql")).unwrap();
        for (condition, indexes) in [
            ("function_id = ?1", ["events_by_function", "runs_by_function"]),
            ("request_id = ?1", ["sqlite_autoindex_events_1", "PRIMARY KEY"]),
        ] {
            let text = format!("EXPLAIN QUERY PLAN SELECT COUNT(*) FROM ({ALL}) WHERE {condition}");
            let mut statement = connection.prepare(&text).unwrap();
            let steps = statement.query_map(["x"], |row| row.get::<_, String>(3)).unwrap();
            let plan: Vec<String> = steps.map(Result::unwrap).collect();
            for index in indexes {
                assert!(plan.iter().any(|step| step.contains("SEARCH") && step.contains(index)), "{plan:?}");
            }
        }
    }
}
