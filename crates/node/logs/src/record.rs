//! What travels through the queue to the writer: beginnings and ends of invocations, and lines. Must not know how a
//! record is written.

use std::sync::Arc;

use types::{FunctionRecord, InstanceId, RequestId, RunStatus, VersionName};

use crate::lines::Stream;
use crate::live::Request;
use crate::shares::QueueShare;

/// An invocation that begins.
#[derive(Debug, Clone)]
pub struct Begin {
    /// Id of the invocation.
    pub request_id: RequestId,
    /// The function called.
    pub function: Arc<FunctionRecord>,
    /// The version that the qualifier led to.
    pub version: VersionName,
    /// What the caller named: a version or an alias.
    pub qualifier: String,
    /// When it began, Unix milliseconds.
    pub start_ms: i64,
    /// The first platform line of its log; empty for none. It travels and lies with the beginning, which costs half of
    /// what a line of its own does.
    pub opening: String,
}

/// How an invocation ended.
#[derive(Debug, Clone)]
pub struct End {
    /// Status of the run.
    pub status: RunStatus,
    /// What the caller got; the record keeps the first `ret_msg_bytes_max` bytes.
    pub ret_msg: String,
    /// Run time in microseconds.
    pub duration_us: u64,
    /// Billed run time in milliseconds.
    pub bill_duration_ms: u64,
    /// Highest memory of the instance in bytes.
    pub memory_bytes: u64,
    /// The last platform lines of its log, in order; they travel and lie with the end.
    pub closing: Vec<String>,
}

/// One line on its way to the disk.
#[derive(Debug)]
pub(crate) struct LineRecord {
    pub(crate) time_ms: i64,
    pub(crate) function: Arc<FunctionRecord>,
    pub(crate) version: VersionName,
    pub(crate) request_id: Option<RequestId>,
    /// The invocation, when it is known here; gives the line its qualifier and start time.
    pub(crate) request: Option<Arc<Request>>,
    /// `None` for platform lines of an invocation, which come from no instance.
    pub(crate) instance: Option<InstanceId>,
    pub(crate) stream: Stream,
    pub(crate) text: Box<str>,
    /// Its part of the queue; `None` for lines of the platform.
    pub(crate) _share: Option<QueueShare>,
}

/// Anything on its way to the disk.
#[derive(Debug)]
pub(crate) enum Record {
    /// With its first line.
    Begin(Arc<Request>, String),
    Line(LineRecord),
    End(Arc<Request>, End),
}

/// What a record takes beside its texts, in bytes.
pub(crate) const FIXED_BYTES: usize = 160;

impl Record {
    /// Roughly what the record takes in memory, in bytes.
    pub(crate) fn cost(&self) -> usize {
        FIXED_BYTES
            + match self {
                Self::Begin(_, opening) => opening.len(),
                Self::Line(line) => line.text.len(),
                Self::End(_, end) => end.ret_msg.len() + end.closing.iter().map(String::len).sum::<usize>(),
            }
    }
}
