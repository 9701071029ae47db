//! Records in the queue to the writer: beginnings and ends of invocations, and lines.

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
    /// The invocation, if known; provides the line's qualifier and start time.
    pub(crate) request: Option<Arc<Request>>,
    /// `None` for platform lines of an invocation, which come from no instance.
    pub(crate) instance: Option<InstanceId>,
    pub(crate) stream: Stream,
    pub(crate) text: Box<str>,
    /// Its share of the queue; `None` for platform lines.
    pub(crate) _share: Option<QueueShare>,
}

/// A queued record. A pointer each: the queue is locked while one is moved in.
#[derive(Debug)]
pub(crate) enum Record {
    /// A beginning, and the end with it if that comes before the record is written.
    Begin(Arc<Request>),
    Line(Box<LineRecord>),
    /// An end that is queued after its beginning; the length of its texts, in bytes.
    End(Arc<Request>, usize),
}

/// Size of a record without its texts, in bytes.
pub(crate) const FIXED_BYTES: usize = 160;

impl Record {
    /// Approximate memory of the record, in bytes.
    pub(crate) fn cost(&self) -> usize {
        match self {
            // The beginning reserves room for the end.
            Self::Begin(_) => 2 * FIXED_BYTES,
            Self::Line(line) => FIXED_BYTES + line.text.len(),
            Self::End(_, text_bytes) => FIXED_BYTES + text_bytes,
        }
    }
}
