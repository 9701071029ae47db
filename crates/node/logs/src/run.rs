//! The beginning and the end of a run, as its caller records them.

use std::sync::Arc;

use types::{FunctionRecord, Qualifier, RequestId, RunStatus, VersionName};

/// An invocation that begins.
#[derive(Debug, Clone)]
pub struct Begin {
    /// Id of the invocation.
    pub request_id: RequestId,
    /// The function called.
    pub function: Arc<FunctionRecord>,
    /// The version that the qualifier led to.
    pub version: VersionName,
    /// The qualifier in the call: a version or an alias.
    pub qualifier: Qualifier,
    /// When it began, Unix milliseconds.
    pub start_ms: i64,
    /// Its log begins with the line `START`.
    pub start_line: bool,
    /// Which retry of an asynchronous event it is; 0 for the first try.
    pub retry_num: u32,
}

/// How an invocation ended.
#[derive(Debug, Clone)]
pub struct End {
    /// Status of the run.
    pub status: RunStatus,
    /// The result returned to the caller; the record keeps the first `ret_msg_bytes_max` bytes.
    pub ret_msg: String,
    /// Run time in microseconds.
    pub duration_us: u64,
    /// Billed run time in milliseconds.
    pub bill_duration_ms: u64,
    /// Highest memory of the instance in bytes.
    pub memory_bytes: u64,
    /// The platform's lines before `END`, in order.
    pub closing: Vec<String>,
    /// Its log ends with the lines `END` and `Report`, which name this memory size in MB; `None`:
    /// with neither.
    pub report_memory_mb: Option<u32>,
}

impl End {
    /// The texts it carries, in bytes.
    pub(crate) fn text_bytes(&self) -> usize {
        self.ret_msg.len() + self.closing.iter().map(String::len).sum::<usize>()
    }
}
