//! The record of one invocation in the log: its platform lines, in the contract's order, and its
//! outcome.

use std::sync::Arc;
use std::time::Duration;

use logs::{Begin, End, InvocationLog, Logs};
use pool::ColdStart;
use types::{RequestId, RunStatus};

use crate::deferred_records::DeferredRecords;
use crate::failure::Failure;
use crate::report;

/// An invocation in the log.
pub(crate) struct Record {
    log: Log,
    request: RequestId,
    ret_msg_bytes_max: usize,
}

/// The destination of its lines.
enum Log {
    Begun(InvocationLog),
    /// The record may not have begun.
    Deferred(Arc<DeferredRecords>, Logs),
}

/// The outcome of an invocation in the log.
pub(crate) struct Closing<'a> {
    /// Why it failed, or success.
    pub outcome: Result<(), &'a Failure>,
    /// The result for the caller of an event; `None` for a web request, whose response is not kept.
    pub ret_msg: Option<&'a str>,
    /// Duration of the run; `None` when nothing ran.
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
    /// Begins a record.
    pub fn begin(logs: &Logs, begin: Begin, ret_msg_bytes_max: usize) -> Self {
        let request = begin.request_id.clone();
        Self { log: Log::Begun(logs.begin(begin)), request, ret_msg_bytes_max }
    }

    /// A record that begins with an instance, or its start.
    pub fn defer(records: &Arc<DeferredRecords>, logs: &Logs, begin: Begin, ret_msg_bytes_max: usize) -> Self {
        let request = begin.request_id.clone();
        records.defer(begin);
        Self { log: Log::Deferred(Arc::clone(records), logs.clone()), request, ret_msg_bytes_max }
    }

    /// Begins the record if it has not begun: there is an instance, or a line to write.
    pub fn ensure_begun(&self) {
        if let Log::Deferred(records, _) = &self.log {
            records.begin(&self.request);
        }
    }

    /// Drops a record that has not begun; false where it has.
    pub fn withdraw(&self) -> bool {
        match &self.log {
            Log::Begun(_) => false,
            Log::Deferred(records, _) => records.withdraw(&self.request),
        }
    }

    /// The start of the instance, finished or failed.
    pub fn init(&self, cold: &ColdStart, memory_mb: u32, peak_bytes: u64) {
        self.ensure_begun();
        let line = report::init(&self.request, cold, memory_mb, peak_bytes);
        match &self.log {
            Log::Begun(log) => log.platform(&line),
            Log::Deferred(_, logs) => logs.platform(&self.request, &line),
        }
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
        self.ensure_begun();
        match self.log {
            Log::Begun(log) => log.finish(end),
            Log::Deferred(_, logs) => logs.finish(&self.request, end),
        }
    }
}
