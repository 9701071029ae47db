//! An event in its row of the queue.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};
use types::job::ArrayPlace;
use types::{FunctionId, FunctionKey, Qualifier, RequestId, RunStatus, TriggerId};

use super::row;
use crate::error::Error;
use crate::event::{Address, InvokeType};
use crate::policy::retry::History;

/// A claimed event.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub id: i64,
    /// The fencing token, together with the owner.
    pub attempt: u32,
    pub request_id: RequestId,
    pub address: Address,
    pub invoke_type: InvokeType,
    pub history: History,
    pub recoveries: u32,
    pub accepted_ms: i64,
    pub payload: Bytes,
    /// Status of the previous run.
    pub last_status: Option<RunStatus>,
    pub last_result: Option<String>,
    /// URL of its callback.
    pub callback: Option<String>,
    /// Number of events that led to it, each caused by a run or the end of the previous one.
    pub depth: u32,
    /// Its trigger.
    pub trigger: Option<TriggerId>,
    /// Its index among those that were accepted with it.
    pub array: Option<ArrayPlace>,
}

impl Claimed {
    /// The columns that [`Claimed::read`] reads.
    pub(crate) const COLUMNS: &str = "request_id, namespace, function, function_id, qualifier, invoke_type, id, \
         attempt, \
         function_failures, system_failures, retries_max, expires_ms, recoveries, accepted_ms, payload, last_status, \
         last_result, callback, depth, trigger_id, array_place";

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
            array: row::array(columns, 20)?,
        })
    }

    /// The readable parts of a damaged row that a claim of this function took. Its id is replaced
    /// where its own cannot be read.
    pub(crate) fn salvaged(columns: &Row<'_>, function: FunctionKey) -> Self {
        let parsed = |at| row::parsed::<String>(columns, at).unwrap_or_default();
        let number = |at| columns.get::<_, i64>(at).unwrap_or_default();
        let count = |at| u32::try_from(number(at)).unwrap_or_default();
        let bytes = columns.get_ref(14).ok().and_then(|value| value.as_bytes().ok()).unwrap_or_default();
        Self {
            id: number(6),
            attempt: count(7),
            request_id: parsed(0).parse().unwrap_or_else(|_| RequestId::random()),
            address: Address {
                function,
                function_id: parsed(3).parse().unwrap_or_else(|_| FunctionId::random()),
                qualifier: parsed(4).parse().unwrap_or(Qualifier::LATEST),
            },
            invoke_type: InvokeType::from_text(&parsed(5)).unwrap_or(InvokeType::Invoke),
            history: History {
                function_failures: 0,
                system_failures: 0,
                retries_max: count(10),
                expires_ms: number(11),
            },
            recoveries: count(12),
            accepted_ms: number(13),
            payload: Bytes::copy_from_slice(bytes),
            last_status: None,
            last_result: None,
            callback: None,
            depth: 0,
            trigger: None,
            array: None,
        }
    }

    /// An event that waits or runs.
    pub(crate) fn find(connection: &Connection, id: &RequestId) -> Result<Option<Self>, Error> {
        let text = format!("SELECT {} FROM events WHERE request_id = ?1", Self::COLUMNS);
        Ok(connection.prepare_cached(&text)?.query_row([id.as_str()], Self::read).optional()?)
    }

    /// The running events with a termination request.
    pub(crate) fn to_end(connection: &Connection) -> Result<Vec<Self>, Error> {
        let text = format!("SELECT {} FROM events WHERE state = 1 AND terminate = 1", Self::COLUMNS);
        let mut statement = connection.prepare(&text)?;
        let found = statement.query_map([], Self::read)?;
        Ok(row::readable(found)?)
    }
}
