//! What waits in the queue to the writer: beginnings and ends of invocations, and lines.

use std::sync::Arc;

use types::{FunctionRecord, InstanceId, RequestId, VersionName};

use crate::lines::Stream;
use crate::live::Request;
use crate::shares::QueueShare;

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

/// Anything on its way to the disk. A pointer each: the queue is locked while one is moved in.
#[derive(Debug)]
pub(crate) enum Record {
    /// A beginning, and the end with it if that comes before the record is written.
    Begin(Arc<Request>),
    Line(Box<LineRecord>),
    /// An end that is behind its beginning; the texts it carries, in bytes.
    End(Arc<Request>, usize),
}

/// What a record takes beside its texts, in bytes.
pub(crate) const FIXED_BYTES: usize = 160;

impl Record {
    /// Roughly what the record takes in memory, in bytes.
    pub(crate) fn cost(&self) -> usize {
        match self {
            // Room for the end is taken with the beginning.
            Self::Begin(_) => 2 * FIXED_BYTES,
            Self::Line(line) => FIXED_BYTES + line.text.len(),
            Self::End(_, text_bytes) => FIXED_BYTES + text_bytes,
        }
    }
}
