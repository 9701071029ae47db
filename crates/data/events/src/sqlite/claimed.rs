//! An event as the queue's row has it.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};
use types::{RequestId, RunStatus, TriggerId};

use super::row;
use crate::error::Error;
use crate::event::{Address, InvokeType};
use crate::policy::retry::History;

/// An event that is about to run, or was to.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub id: i64,
    /// The fencing token, beside the owner.
    pub attempt: u32,
    pub request_id: RequestId,
    pub address: Address,
    pub invoke_type: InvokeType,
    pub history: History,
    pub recoveries: u32,
    pub accepted_ms: i64,
    pub payload: Bytes,
    /// How the run before ended.
    pub last_status: Option<RunStatus>,
    pub last_result: Option<String>,
    /// Where the result is sent.
    pub callback: Option<String>,
    /// Events that led to it, each caused by a run or the end of the one before.
    pub depth: u32,
    /// The trigger that made it.
    pub trigger: Option<TriggerId>,
}

impl Claimed {
    /// The columns that [`Claimed::read`] reads.
    pub(crate) const COLUMNS: &str = "request_id, namespace, function, function_id, qualifier, invoke_type, id, attempt, \
         function_failures, system_failures, retries_max, expires_ms, recoveries, accepted_ms, payload, last_status, \
         last_result, callback, depth, trigger_id";

    /// The event of a row of [`Claimed::COLUMNS`].
    pub(crate) fn read(columns: &Row<'_>) -> rusqlite::Result<Self> {
        let (request_id, address, invoke_type) = row::head(columns, 0)?;
        Ok(Self {
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

    /// An event that waits or runs.
    pub(crate) fn find(connection: &Connection, id: &RequestId) -> Result<Option<Self>, Error> {
        let text = format!("SELECT {} FROM events WHERE request_id = ?1", Self::COLUMNS);
        Ok(connection.prepare_cached(&text)?.query_row([id.as_str()], Self::read).optional()?)
    }

    /// The events that were to end while they ran.
    pub(crate) fn to_end(connection: &Connection) -> Result<Vec<Self>, Error> {
        let text = format!("SELECT {} FROM events WHERE state = 1 AND terminate = 1", Self::COLUMNS);
        let mut statement = connection.prepare(&text)?;
        let found = statement.query_map([], Self::read)?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}
