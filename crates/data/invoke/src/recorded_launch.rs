//! The record of a start without a call: its output, and the line with its duration (contract 4.6).
//! A start check, and a forecast instance, have only their output.

use std::sync::Arc;

use bytes::Bytes;
use logs::{Begin, End, Logs};
use pool::{BoxFuture, Launch, LaunchError, Launched};
use types::{CatalogVersion, InstanceId, Qualifier, RequestId, RunStatus};

use crate::clock::unix_ms;
use crate::deferred_records::DeferredRecords;
use crate::report;

/// A launcher that records the starts of provisioned instances.
pub(crate) struct RecordedLaunch {
    pub launch: Arc<dyn Launch>,
    pub logs: Logs,
    /// Records of asynchronous events, which begin with a start for them.
    pub deferred_records: Arc<DeferredRecords>,
}

impl Launch for RecordedLaunch {
    fn launch(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        first_request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.deferred_records.begin(&first_request);
        self.launch.launch(id, version, first_request)
    }

    fn launch_job(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
        event: Bytes,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.deferred_records.begin(&request);
        self.launch.launch_job(id, version, request, event)
    }

    fn launch_ahead(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        Box::pin(async move {
            let open = Open { logs: &self.logs, request: &request, version: &version, closed: false };
            open.begin();
            let outcome = self.launch.launch_ahead(id.clone(), Arc::clone(&version), request.clone()).await;
            self.started(&id);
            open.close(&outcome);
            outcome
        })
    }

    fn launch_unrecorded(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        let outcome = self.launch.launch_unrecorded(id.clone(), Arc::clone(&version), request.clone());
        Box::pin(self.watched(id, version, request, outcome))
    }

    fn launch_check(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        let outcome = self.launch.launch_check(id.clone(), Arc::clone(&version), request.clone());
        Box::pin(self.watched(id, version, request, outcome))
    }
}

impl RecordedLaunch {
    /// Runs a start without a record, whose output its error can include.
    async fn watched(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
        outcome: BoxFuture<'_, Result<Launched, LaunchError>>,
    ) -> Result<Launched, LaunchError> {
        self.logs.watch(begin(&request, &version));
        let _watched = Watched { logs: &self.logs, request: &request };
        let outcome = outcome.await;
        self.started(&id);
        outcome
    }

    /// Assigns the instance's further output to no request, until one arrives.
    fn started(&self, id: &InstanceId) {
        self.logs.catch_up(id);
        self.logs.assign(id, None);
    }
}

fn begin(request: &RequestId, version: &CatalogVersion) -> Begin {
    Begin {
        request_id: request.clone(),
        function: version.function.clone(),
        version: version.key.version,
        qualifier: Qualifier::Version(version.key.version),
        start_ms: unix_ms(),
        start_line: false,
        retry_num: 0,
    }
}

/// A start whose output stays in memory until it ends.
struct Watched<'a> {
    logs: &'a Logs,
    request: &'a RequestId,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.logs.forget(self.request);
    }
}

/// A record that has begun; it also ends when the start is cancelled.
struct Open<'a> {
    logs: &'a Logs,
    request: &'a RequestId,
    version: &'a CatalogVersion,
    closed: bool,
}

impl Open<'_> {
    fn begin(&self) {
        self.logs.begin(begin(self.request, self.version));
    }

    fn close(mut self, outcome: &Result<Launched, LaunchError>) {
        let (cold, peak_bytes, status, message) = match outcome {
            Ok(launched) => {
                (launched.cold_start, launched.process.memory_peak_bytes(), RunStatus::Success, String::new())
            }
            Err(error) => (error.cold_start, error.peak_bytes, error.status, error.to_string()),
        };
        let memory_mb = self.version.spec.memory_mb;
        let report = report::provisioned(self.request, &cold, memory_mb, peak_bytes);
        self.finish(status, &message, peak_bytes, vec![report]);
        self.closed = true;
    }

    fn finish(&self, status: RunStatus, message: &str, memory_bytes: u64, closing: Vec<String>) {
        let ret_msg = message.to_owned();
        let (duration_us, bill_duration_ms, report_memory_mb) = (0, 0, None);
        let end = End { status, ret_msg, duration_us, bill_duration_ms, memory_bytes, closing, report_memory_mb };
        self.logs.finish(self.request, end);
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.closed {
            self.finish(RunStatus::FunctionStatusError, "the version is not kept ready any more", 0, Vec::new());
        }
    }
}
