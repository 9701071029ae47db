//! An event that a claim has taken.

use bytes::Bytes;
use types::{RequestId, RunStatus, TriggerId};

use crate::event::{Address, InvokeType};
use crate::policy::retry::History;

/// An event that is about to run.
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
