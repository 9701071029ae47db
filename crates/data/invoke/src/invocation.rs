//! An invocation from its beginning to the last line of its log: the instance it has, the record it writes, and how it
//! ends. One that is dropped unfinished ends as canceled: its caller went away.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, Uri};
use hyper::body::Incoming;
use pool::{ColdStart, Ended, Instance, Lease};
use tokio::time::{Instant, timeout};
use types::{CatalogVersion, Qualifier, RequestId, RunStatus};

use crate::call::Target;
use crate::config::Config;
use crate::context::Context;
use crate::failure::Failure;
use crate::record::{Closing, Record};
use crate::request_body::RequestBody;
use crate::upstream::{self, Connection, Stopped, UpstreamError, UpstreamState, guarded};
use crate::{headers, metering};

/// An invocation that has begun.
pub(crate) struct Invocation {
    pub shared: Arc<Context>,
    request: RequestId,
    open: Option<Open>,
}

/// What an invocation holds until it ends.
struct Open {
    record: Record,
    /// What it was resolved to; an update may give it an instance of a newer generation.
    version: Arc<CatalogVersion>,
    run: Option<Run>,
}

/// An invocation on its instance.
struct Run {
    lease: Lease<UpstreamState>,
    started: Instant,
    /// The instance serves one request at a time: its output is this request's, and it goes when this request hangs.
    alone: bool,
}

/// How an invocation ends.
pub(crate) enum Ending {
    Success,
    Failed(Failure),
    /// The connection broke while the answer streamed; why is found out afterwards.
    Broken(String),
}

/// What a finished invocation came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    pub duration: Duration,
    pub bill_duration_ms: u64,
    pub memory_bytes: u64,
    pub cold: Option<ColdStart>,
}

impl Invocation {
    pub fn begin(shared: &Arc<Context>, request: RequestId, version: Arc<CatalogVersion>, called: &Qualifier) -> Self {
        let ret_msg_bytes_max = shared.config.log_ret_msg_bytes_max;
        let record = Record::begin(&shared.logs, request.clone(), &version, called, ret_msg_bytes_max);
        Self { shared: Arc::clone(shared), request, open: Some(Open { record, version, run: None }) }
    }

    fn open(&mut self) -> &mut Open {
        self.open.as_mut().expect("an invocation is open until it is finished, which consumes it")
    }

    pub fn version(&mut self) -> Arc<CatalogVersion> {
        Arc::clone(&self.open().version)
    }

    /// Sends the request to an instance and waits for the head of the answer. An instance that accepts no connection is
    /// replaced once, since nothing of the request has reached it.
    pub async fn dispatch(
        &mut self,
        target: &Target,
        request: Request<RequestBody>,
    ) -> Result<(Connection, Response<Incoming>), Failure> {
        self.dispatch_by(target, request, upstream::send).await
    }

    /// The same with another way to send it.
    pub async fn dispatch_by<T>(
        &mut self,
        target: &Target,
        mut request: Request<RequestBody>,
        send: impl AsyncFn(&Instance<UpstreamState>, Request<RequestBody>, &Config) -> Result<T, UpstreamError>,
    ) -> Result<T, Failure> {
        let mut replacements_left = 1;
        loop {
            self.take_instance(target, request.headers(), request.uri()).await?;
            let (shared, id) = (Arc::clone(&self.shared), self.request.clone());
            let run = self.run();
            let of_version = run.lease.slot.headers(&run.lease.version, &shared.platform);
            headers::stamp(request.headers_mut(), of_version, &id);
            let work = send(&run.lease, request, &shared.config);
            match guarded(&run.lease, run.deadline(), shared.config.exit_wait_max(), work).await {
                Ok(answer) => return Ok(answer),
                Err(Stopped::Failed(UpstreamError::Unreachable { request: back, .. })) if replacements_left > 0 => {
                    replacements_left -= 1;
                    request = *back;
                    run.lease.recycle();
                    self.open().run = None;
                }
                Err(stopped) => return Err(self.failure_of(stopped).await),
            }
        }
    }

    /// Waits for `work` on the instance that [`Invocation::dispatch`] took.
    pub async fn guarded<T>(&mut self, work: impl Future<Output = Result<T, UpstreamError>>) -> Result<T, Failure> {
        let exit_wait_max = self.shared.config.exit_wait_max();
        let run = self.run();
        match guarded(&run.lease, run.deadline(), exit_wait_max, work).await {
            Ok(done) => Ok(done),
            Err(stopped) => Err(self.failure_of(stopped).await),
        }
    }

    /// When the time limit of the run is over.
    pub fn deadline(&mut self) -> Instant {
        self.run().deadline()
    }

    /// Why the run timed out, for the caller.
    pub fn timed_out(&mut self) -> Failure {
        self.run().timed_out()
    }

    /// Makes a connection whose response is complete idle, for the instance's next request.
    pub fn recycle_connection(&mut self, connection: Connection) {
        let shared = Arc::clone(&self.shared);
        if shared.config.kept_connection_ms_max == 0 {
            return;
        }
        let lease = &self.run().lease;
        let idle = lease.slot.idle();
        idle.put(connection, lease.suspensions());
        shared.sweep.watch(idle);
    }

    fn run(&mut self) -> &mut Run {
        self.open().run.as_mut().expect("an answer only comes from an instance, which the invocation keeps")
    }

    async fn take_instance(&mut self, target: &Target, head: &HeaderMap, uri: &Uri) -> Result<(), Failure> {
        let (shared, request, version) = (Arc::clone(&self.shared), self.request.clone(), self.version());
        let lease = shared.acquire(target, version, &request, (head, uri)).await?;
        let alone = lease.version.spec.max_concurrency(lease.version.function.kind) == 1;
        if let Some(cold) = lease.cold() {
            // What the start printed comes before its report.
            shared.logs.settle(&lease.id).await;
            let peak_bytes = lease.process.memory_peak_bytes();
            self.open().record.init(&cold, lease.version.spec.memory_mb, peak_bytes);
            metering::cold_start(&lease.version.function.key, &cold);
        }
        if alone {
            shared.logs.assign(&lease.id, Some(&request));
        } else if lease.cold().is_some() {
            shared.logs.assign(&lease.id, None);
        }
        self.open().run = Some(Run { lease, started: Instant::now(), alone });
        Ok(())
    }

    async fn failure_of(&mut self, stopped: Stopped) -> Failure {
        let exit_wait_max = self.shared.config.exit_wait_max();
        let run = self.run();
        match stopped {
            Stopped::TimedOut => self.timed_out(),
            Stopped::Ended(ended) => run.ended(&ended),
            Stopped::Failed(UpstreamError::BadResponse(failure)) => *failure,
            Stopped::Failed(UpstreamError::ConnectionLost(detail)) => run.why_broken(&detail, exit_wait_max).await,
            Stopped::Failed(UpstreamError::Unreachable { error, .. }) => {
                let port = run.lease.version.spec.image.port;
                run.ended_or(exit_wait_max, || Failure::unreachable(port, &error.to_string())).await
            }
        }
    }

    /// Ends the invocation and waits until its log is complete. `ret_msg` is what the caller of an event gets.
    pub async fn finish(mut self, outcome: Result<(), &Failure>, ret_msg: &str) -> Summary {
        let open = self.open.take().expect("an invocation is finished once");
        open.close(&self.shared, outcome, Some(ret_msg), Instant::now()).await
    }

    /// Ends the invocation; its log is completed, and its instance handed on, in the background.
    pub fn finish_later(mut self, ending: Ending) {
        self.end(ending);
    }

    fn end(&mut self, ending: Ending) {
        let Some(mut open) = self.open.take() else { return };
        if let Some(run) = &mut open.run {
            run.lease.returning();
        }
        let (shared, at) = (Arc::clone(&self.shared), Instant::now());
        let closing = async move {
            let failure = match ending {
                Ending::Success => None,
                Ending::Failed(failure) => Some(failure),
                Ending::Broken(detail) => Some(open.why_broken(&detail, shared.config.exit_wait_max()).await),
            };
            open.close(&shared, failure.as_ref().map_or(Ok(()), Err), None, at).await;
        };
        self.shared.tasks.spawn_on(closing, &self.shared.runtime);
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        self.end(Ending::Failed(Failure::caller_gone()));
    }
}

impl Open {
    async fn why_broken(&self, detail: &str, exit_wait_max: Duration) -> Failure {
        match &self.run {
            Some(run) => run.why_broken(detail, exit_wait_max).await,
            None => Failure::broken(detail),
        }
    }

    /// Writes the last lines, in the contract's order, and only then hands the instance on.
    async fn close(
        self,
        shared: &Context,
        outcome: Result<(), &Failure>,
        ret_msg: Option<&str>,
        at: Instant,
    ) -> Summary {
        let memory_mb = self.version.spec.memory_mb;
        let mut closing = Closing { outcome, ret_msg, duration: None, memory_mb, peak_bytes: 0 };
        if let Some(start) = outcome.err().and_then(|failure| failure.start) {
            self.record.init(&start.cold, memory_mb, start.peak_bytes);
            closing.peak_bytes = start.peak_bytes;
        }
        if let Some(run) = &self.run {
            run.dispose(outcome, shared.config.exit_wait_max()).await;
            if run.alone {
                shared.logs.settle(&run.lease.id).await;
            }
            closing.duration = Some(at.saturating_duration_since(run.started));
            closing.memory_mb = run.lease.version.spec.memory_mb;
            closing.peak_bytes = match run.alone {
                true => run.lease.process.memory_peak_bytes(),
                false => run.lease.slot.peak_bytes(&run.lease.process, at),
            };
            shared.out_flows.served(run.lease.slot.out_flow(&run.lease.process, &run.lease.version.function.key));
        }
        let summary = Summary {
            duration: closing.duration.unwrap_or_default(),
            bill_duration_ms: closing.bill_ms(),
            memory_bytes: closing.peak_bytes,
            cold: self.run.as_ref().and_then(|run| run.lease.cold()),
        };
        match (&self.run, closing.duration) {
            (Some(run), Some(duration)) if outcome.is_ok() => {
                run.lease.slot.successes(&run.lease.version).count(duration);
            }
            _ => metering::invocation(&self.version, closing.status(), closing.duration),
        }
        self.record.finish(&closing);
        if let Some(run) = self.run
            && run.alone
        {
            // What it prints between two requests belongs to neither.
            shared.logs.assign(&run.lease.id, None);
        }
        summary
    }
}

impl Run {
    fn deadline(&self) -> Instant {
        self.started + Duration::from_secs(u64::from(self.lease.version.spec.timeout_s))
    }

    /// Lets no further request use an instance that hangs or has ended.
    async fn dispose(&self, outcome: Result<(), &Failure>, exit_wait_max: Duration) {
        let of_instance = outcome.err().filter(|failure| !failure.of_connection);
        match of_instance.map(|failure| failure.status) {
            Some(RunStatus::TimeLimitReached) if self.alone => {
                self.lease.kill();
                // Its last output is read to the end once it has ended.
                drop(timeout(exit_wait_max, self.lease.process.ended()).await);
            }
            Some(RunStatus::UserProcessExited | RunStatus::MemoryLimitReached | RunStatus::PortBindingFailed) => {
                self.lease.recycle();
            }
            _ => {}
        }
    }

    /// Why a connection broke: the instance has ended, or its server broke it off.
    async fn why_broken(&self, detail: &str, exit_wait_max: Duration) -> Failure {
        self.ended_or(exit_wait_max, || Failure::broken(detail)).await
    }

    fn ended(&self, ended: &Ended) -> Failure {
        Failure::ended(ended, self.lease.version.spec.memory_mb, self.lease.process.memory_peak_bytes())
    }

    /// Over its time limit. An instance that went over its memory did so because of that, and may take the kernel seconds
    /// to end.
    fn timed_out(&self) -> Failure {
        if self.lease.process.out_of_memory() {
            self.over_memory()
        } else {
            Failure::timed_out(self.lease.version.spec.timeout_s)
        }
    }

    /// Ends an instance of which the kernel has ended a process for memory: it may have ended that one only, on whose work the
    /// others wait for ever. The instance is one thing, and every request in it fails with this.
    fn over_memory(&self) -> Failure {
        self.lease.kill();
        self.ended(&Ended { code: None, signal: None, out_of_memory: true })
    }

    async fn ended_or(&self, exit_wait_max: Duration, otherwise: impl FnOnce() -> Failure) -> Failure {
        if self.lease.process.out_of_memory() {
            self.lease.kill();
        }
        match timeout(exit_wait_max, self.lease.process.ended()).await {
            Ok(ended) => self.ended(&ended),
            // An instance full of files takes the kernel seconds to end; why it does is known by now.
            Err(_) if self.lease.process.out_of_memory() => self.over_memory(),
            Err(_) => otherwise(),
        }
    }
}
