//! Columns that several statements read.

use rusqlite::Row;
use rusqlite::types::{Type, ValueRef};
use types::job::ArrayPlace;
use types::{FunctionKey, RequestId, RunStatus, TriggerId};

use crate::event::{Address, InvokeType, RunState};

/// The readable rows; others are logged and skipped.
pub(super) fn readable<T>(rows: impl Iterator<Item = rusqlite::Result<T>>) -> rusqlite::Result<Vec<T>> {
    let mut readable = Vec::new();
    for row in rows {
        match row {
            Ok(row) => readable.push(row),
            Err(error) if is_of_row(&error) => tracing::error!(%error, "a row of the queue of events cannot be read"),
            Err(error) => return Err(error),
        }
    }
    Ok(readable)
}

/// Whether an error concerns the contents of a row, not the file.
fn is_of_row(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..) | E::InvalidColumnType(..) | E::IntegralValueOutOfRange(..) | E::Utf8Error(..)
    )
}

/// A text that must parse; otherwise the row is damaged.
pub(super) fn parsed<T: std::str::FromStr>(row: &Row<'_>, at: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(at)?.as_str()?;
    text.parse().map_err(|error: T::Err| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(error)))
}

/// `request_id, namespace, function, function_id, qualifier, invoke_type` from column `at` on.
pub(super) fn head(row: &Row<'_>, at: usize) -> rusqlite::Result<(RequestId, Address, InvokeType)> {
    let address = address(row, at + 1)?;
    let kind = InvokeType::from_text(row.get_ref(at + 5)?.as_str()?).unwrap_or(InvokeType::Invoke);
    Ok((parsed(row, at)?, address, kind))
}

/// `namespace, function, function_id, qualifier` from column `at` on.
pub(super) fn address(row: &Row<'_>, at: usize) -> rusqlite::Result<Address> {
    let function = FunctionKey { namespace: parsed(row, at)?, name: parsed(row, at + 1)? };
    Ok(Address { function, function_id: parsed(row, at + 2)?, qualifier: parsed(row, at + 3)? })
}

/// The trigger of an event, if it has one.
pub(super) fn trigger(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<TriggerId>> {
    match row.get_ref(at)?.as_str()? {
        "" => Ok(None),
        _ => parsed(row, at).map(Some),
    }
}

/// The index of an event in its array, if it is part of one.
pub(super) fn array(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<ArrayPlace>> {
    match row.get_ref(at)? {
        ValueRef::Null => Ok(None),
        _ => parsed(row, at).map(Some),
    }
}

/// The trigger of an event in a column.
pub(super) fn trigger_text(trigger: Option<&TriggerId>) -> &str {
    trigger.map_or("", |id| id.as_str())
}

/// A status code of a run.
pub(super) fn status(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<RunStatus>> {
    let code: Option<u16> = row.get(at)?;
    Ok(code.and_then(|code| RunStatus::try_from(code).ok()))
}

/// The number of a state in `runs`.
pub(super) fn state_number(state: RunState) -> i64 {
    match state {
        RunState::Running => 0,
        RunState::Finished => 1,
        RunState::Aborted => 2,
        RunState::Failed => 3,
    }
}

/// The state of a number in `runs`.
pub(super) fn state(number: i64) -> RunState {
    match number {
        1 => RunState::Finished,
        2 => RunState::Aborted,
        3 => RunState::Failed,
        _ => RunState::Running,
    }
}
