//! Damaged rows, moved so that they do not block others.

use rusqlite::Connection;
use types::RunStatus;

use super::claimed::Claimed;
use super::dead;
use super::finish::{self, End};
use crate::error::Error;
use crate::event::RunState;
use crate::policy::retry::Reason;

/// Moves the readable parts of a damaged row to the failed events.
pub(crate) fn set_aside(
    connection: &Connection,
    event: &Claimed,
    why: &str,
    now_ms: i64,
    letters_max: u64,
) -> Result<(), Error> {
    let result = format!("its row in the queue of events cannot be read: {why}");
    let attempts = event.attempt.saturating_sub(1);
    let status = Some(RunStatus::InternalError);
    let end = End { status, attempts, exit: None, result: Some(result), result_bytes: None, now_ms };
    connection.prepare_cached("DELETE FROM events WHERE id = ?1")?.execute([event.id])?;
    finish::keep(connection, event, RunState::Failed, &end)?;
    dead::keep(connection, event, Reason::Unreadable, &end, letters_max)
}
