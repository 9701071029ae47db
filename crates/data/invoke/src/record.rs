//! The record of one invocation in the log: its platform lines, in the contract's order, and how it
//! ended.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use logs::{Begin, End, InvocationLog, Logs};
use pool::ColdStart;
use types::{CatalogVersion, Qualifier, RequestId, RunStatus};

use crate::failure::Failure;
use crate::report;

/// An invocation that has begun in the log.
pub(crate) struct Record {
    log: InvocationLog,
    request: RequestId,
    ret_msg_bytes_max: usize,
}

/// How an invocation ended, as the log has it.
pub(crate) struct Closing<'a> {
    /// Why it failed, or success.
    pub outcome: Result<(), &'a Failure>,
    /// What the caller of an event got; `None` for a web request, whose answer is not kept.
    pub ret_msg: Option<&'a str>,
    /// Time of the run; `None` when nothing ran.
    pub duration: Option<Duration>,
    pub memory_mb: u32,
    pub peak_bytes: u64,
}

impl Closing<'_> {
    pub fn status(&self) -> RunStatus {
        self.outcome.err().map_or(RunStatus::Success, |failure| failure.status)
    }

    pub fn bill_ms(&self) -> u64 {
        self.duration.map_or(0, report::bill_ms)
    }
}

impl Record {
    /// Begins the record of an invocation of `version`, called as `qualifier`.
    pub fn begin(
        logs: &Logs,
        request: RequestId,
        version: &CatalogVersion,
        qualifier: &Qualifier,
        ret_msg_bytes_max: usize,
    ) -> Self {
        let log = logs.begin(Begin {
            request_id: request.clone(),
            function: version.function.clone(),
            version: version.key.version,
            qualifier: qualifier.clone(),
            start_ms: unix_ms(),
            start_line: true,
        });
        Self { log, request, ret_msg_bytes_max }
    }

    /// The start of the instance, finished or failed.
    pub fn init(&self, cold: &ColdStart, memory_mb: u32, peak_bytes: u64) {
        self.log.platform(&report::init(&self.request, cold, memory_mb, peak_bytes));
    }

    /// Ends the record.
    pub fn finish(self, closing: &Closing<'_>) {
        let request = &self.request;
        let failed = closing.outcome.err().map(|failure| failure.to_json(request));
        let error = failed.as_ref().map(|json| report::error(request, json));
        let response =
            closing.ret_msg.map(|ret_msg| report::response(request, report::cut(ret_msg, self.ret_msg_bytes_max)));
        let ret_msg = closing.ret_msg.or(failed.as_deref()).unwrap_or_default();
        let duration = closing.duration.unwrap_or_default();
        let end = End {
            status: closing.status(),
            ret_msg: report::cut(ret_msg, self.ret_msg_bytes_max).to_owned(),
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            bill_duration_ms: closing.bill_ms(),
            memory_bytes: closing.peak_bytes,
            closing: error.into_iter().chain(response).collect(),
            report_memory_mb: Some(closing.memory_mb),
        };
        self.log.finish(end);
    }
}

pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
