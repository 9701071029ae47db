//! Acceptance.

use rusqlite::{Connection, ErrorCode, named_params};

use types::TriggerId;
use types::job::ArrayPlace;

use super::row;
use crate::error::Error;
use crate::event::NewEvent;

/// Origin of an event, and the target of its result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    /// The URL of its callback.
    pub callback: Option<String>,
    /// Number of events that led to it, each caused by a run or the end of the previous one.
    pub depth: u32,
    /// Its trigger.
    pub trigger: Option<TriggerId>,
    /// Its index among those that were accepted with it.
    pub array: Option<ArrayPlace>,
}

/// Stores an event as waiting.
pub(crate) fn insert(connection: &Connection, event: &NewEvent, origin: &Origin, now_ms: i64) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO events (request_id, namespace, function, function_id, \
         qualifier, invoke_type, state, due_ms, accepted_ms, \
         expires_ms, attempt, function_failures, system_failures, recoveries, retries_max, callback, \
         depth, bytes, payload, trigger_id, array_place) \
         VALUES (:id, :namespace, :function, :function_id, \
         :qualifier, :kind, 0, :due, :now, :expires, 0, 0, 0, 0, :retries, \
         :callback, :depth, :bytes, :payload, :trigger, :array)",
    )?;
    let done = statement.execute(named_params! {
        ":id": event.request_id.as_str(),
        ":namespace": event.address.function.namespace.as_str(),
        ":function": event.address.function.name.as_str(),
        ":function_id": event.address.function_id.as_str(),
        ":qualifier": event.address.qualifier.to_string(),
        ":kind": event.invoke_type.as_str(),
        ":due": now_ms + i64::from(event.delay_s) * 1000,
        ":now": now_ms,
        ":expires": now_ms + (i64::from(event.delay_s) + i64::from(event.ttl_s)) * 1000,
        ":retries": event.retries_max,
        ":callback": origin.callback,
        ":depth": origin.depth,
        ":bytes": event.payload.len() as i64,
        ":payload": event.payload.as_ref(),
        ":trigger": row::trigger_text(origin.trigger.as_ref()),
        ":array": origin.array.map(|place| place.to_string()),
    });
    match done {
        Ok(_) => Ok(()),
        Err(rusqlite::Error::SqliteFailure(failure, _)) if failure.code == ErrorCode::ConstraintViolation => {
            Err(Error::Duplicate(event.request_id.clone()))
        }
        Err(error) => Err(error.into()),
    }
}
