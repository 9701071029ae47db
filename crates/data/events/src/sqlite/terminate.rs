//! Termination: of a waiting event, at once; of a running one, as a stored request that survives a
//! kill.

use rusqlite::{Connection, OptionalExtension, ToSql, params_from_iter};
use types::{FunctionId, FunctionKey, RequestId, RunStatus};

use super::claimed::Claimed;
use super::finish::End;
use super::row;
use crate::error::Error;
use crate::event::RunState;
use crate::policy::retry::Next;

/// The result of a terminated event.
const RESULT: &str = "the event was terminated";

/// The state in which a termination found its event.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// It waited: it is aborted.
    Waiting(Box<Claimed>),
    /// It runs: it will be aborted when its run has ended.
    Running,
}

/// Terminates an event, of this function where one is given.
pub(crate) fn terminate(
    connection: &Connection,
    id: &RequestId,
    of: Option<&(FunctionKey, FunctionId)>,
    now_ms: i64,
) -> Result<Found, Error> {
    let mut statement = connection.prepare_cached("SELECT function_id, state FROM events WHERE request_id = ?1")?;
    let found = statement.query_row([id.as_str()], |columns| Ok((columns.get(0)?, columns.get(1)?)));
    let Some((function_id, state)): Option<(String, i64)> = found.optional()? else {
        return Err(no_longer_there(connection, id, of)?);
    };
    check_owner(&function_id, id, of)?;
    if state == 1 {
        connection.prepare_cached("UPDATE events SET terminate = 1 WHERE request_id = ?1")?.execute([id.as_str()])?;
        return Ok(Found::Running);
    }
    let event = Claimed::find(connection, id)?.ok_or_else(|| Error::NotFound(id.clone()))?;
    abort(connection, "request_id = ?1", [id.as_str()], now_ms)?;
    Ok(Found::Waiting(Box::new(event)))
}

/// The end of an event that is terminated while it does not run.
pub(crate) fn end(event: &Claimed, now_ms: i64) -> End {
    let (status, result) = (Some(RunStatus::RequestCanceled), Some(RESULT.to_owned()));
    End { status, attempts: event.attempt, exit: None, result, result_bytes: None, now_ms }
}

/// Why an event that neither waits nor runs cannot be terminated.
fn no_longer_there(
    connection: &Connection,
    id: &RequestId,
    of: Option<&(FunctionKey, FunctionId)>,
) -> Result<Error, Error> {
    let mut statement = connection.prepare_cached("SELECT function_id FROM runs WHERE request_id = ?1")?;
    let Some(function_id) = statement.query_row([id.as_str()], |row| row.get::<_, String>(0)).optional()? else {
        return Ok(Error::NotFound(id.clone()));
    };
    check_owner(&function_id, id, of)?;
    Ok(Error::Ended(id.clone()))
}

fn check_owner(function_id: &str, id: &RequestId, of: Option<&(FunctionKey, FunctionId)>) -> Result<(), Error> {
    match of {
        Some((function, wanted)) if wanted.as_str() != function_id => {
            Err(Error::OfAnotherFunction { id: id.clone(), function: function.clone() })
        }
        _ => Ok(()),
    }
}

/// Moves the events that match a condition with these values to `runs` as aborted.
pub(crate) fn abort<const N: usize>(
    connection: &Connection,
    condition: &str,
    values: [&str; N],
    now_ms: i64,
) -> Result<(), Error> {
    let now = N + 1;
    let (state, status) = (row::state_number(RunState::Aborted), RunStatus::RequestCanceled.code());
    let text = format!(
        "INSERT OR REPLACE INTO runs (request_id, namespace, function, function_id, qualifier, invoke_type, state, \
         status, attempts, accepted_ms, ended_ms, result, kept_bytes) \
         SELECT request_id, namespace, function, function_id, \
         qualifier, invoke_type, {state}, {status}, attempt, accepted_ms, ?{now}, '{RESULT}', {} \
         FROM events WHERE {condition}",
        RESULT.len()
    );
    let given = values.iter().map(|value| value as &dyn ToSql).chain([&now_ms as &dyn ToSql]);
    connection.prepare_cached(&text)?.execute(params_from_iter(given))?;
    connection.prepare_cached(&format!("DELETE FROM events WHERE {condition}"))?.execute(params_from_iter(values))?;
    Ok(())
}

/// The next step after a run: its event is aborted where it was terminated meanwhile, whatever the
/// outcome of the run.
pub(crate) fn overrides(connection: &Connection, event: &Claimed, next: Next, end: End) -> Result<(Next, End), Error> {
    let mut statement = connection.prepare_cached("SELECT terminate FROM events WHERE id = ?1")?;
    let terminated: Option<bool> = statement.query_row([event.id], |row| row.get(0)).optional()?;
    if terminated != Some(true) {
        return Ok((next, end));
    }
    let (status, result) = (Some(RunStatus::RequestCanceled), Some(RESULT.to_owned()));
    Ok((Next::Aborted, End { status, result, result_bytes: None, ..end }))
}
