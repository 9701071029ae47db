//! An invocation from its beginning to the last line of its log: its instance, its record, and its
//! outcome. One that is dropped unfinished ends as canceled, because its caller disconnected.

use std::future::Future;
use std::sync::Arc;
use std::task::{self, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use logs::Begin;
use pool::{ColdStart, ExitStatus, Instance};
use tokio::time::{Instant, sleep_until};
use tracing::field::display;
use tracing::{Level, Span, enabled};
use types::{CatalogVersion, RequestId};

use crate::acquire::Wanted;
use crate::call::Asynchronous;
use crate::call_chain::{CallChains, OpenCall};
use crate::cancellation::Cancellation;
use crate::clock::unix_ms;
use crate::config::Config;
use crate::context::Context;
use crate::failure::Failure;
use crate::headers::Stamp;
use crate::metering;
use crate::record::{Closing, Record};
use crate::request_body::RequestBody;
use crate::resolve::ResolvedCall;
use crate::run::Run;
use crate::upstream::{Connection, InFlight, Stopped, UpstreamError, UpstreamState, guarded};

/// An invocation that has begun.
pub(crate) struct Invocation {
    pub context: Arc<Context>,
    request: RequestId,
    open: Option<Open>,
}

/// Resources that an invocation holds until it ends.
struct Open {
    record: Record,
    /// The resolved call; an update may give it an instance of a newer generation.
    call: ResolvedCall,
    run: Option<Run>,
    /// Counts it for the calls that its instance makes, where it is a call by another instance.
    chained: Option<OpenCall>,
    /// Counts it for the events that its instance causes, where it is made in an event's run.
    in_event: Option<OpenCall>,
    /// Its cancellation, where it can be cancelled.
    cancellation: Option<Cancellation>,
    /// Its caller has disconnected.
    abandoned: bool,
}

/// How an invocation ends.
pub(crate) enum Ending {
    Success,
    Failed(Failure),
    /// It was terminated while the response streamed; its instance ends first.
    Canceled(Cancellation),
    /// The connection broke while the response streamed; the reason is determined afterwards.
    Broken(String),
    /// The caller disconnected; the server may still work on the request.
    Abandoned,
}

fn record_begin(request: &RequestId, call: &ResolvedCall, retry_num: u32) -> Begin {
    Begin {
        request_id: request.clone(),
        function: call.version.function.clone(),
        version: call.version.key.version,
        qualifier: call.qualifier.clone(),
        start_ms: unix_ms(),
        start_line: true,
        retry_num,
    }
}

/// Summary of a finished invocation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Summary {
    pub duration: Duration,
    pub bill_duration_ms: u64,
    pub memory_bytes: u64,
    pub cold: Option<ColdStart>,
}

impl Invocation {
    /// Begins the record of a call.
    pub fn begin(context: &Arc<Context>, request: RequestId, call: ResolvedCall) -> Self {
        let begin = record_begin(&request, &call, 0);
        let record = Record::begin(&context.logs, begin, context.config.log_ret_msg_bytes_max);
        Self::with(context, request, call, record, None)
    }

    /// The same; the record of an asynchronous one begins with an instance.
    pub fn of(
        context: &Arc<Context>,
        request: RequestId,
        call: ResolvedCall,
        asynchronous: Option<&Asynchronous>,
    ) -> Self {
        let Some(asynchronous) = asynchronous else { return Self::begin(context, request, call) };
        let call = call.in_event(Some(asynchronous.chain_depth));
        let begin = record_begin(&request, &call, asynchronous.retry_num);
        let ret_msg_bytes_max = context.config.log_ret_msg_bytes_max;
        let record = Record::defer(&context.deferred_records, &context.logs, begin, ret_msg_bytes_max);
        Self::with(context, request, call, record, Some(asynchronous.cancellation.clone()))
    }

    fn with(
        context: &Arc<Context>,
        request: RequestId,
        call: ResolvedCall,
        record: Record,
        cancellation: Option<Cancellation>,
    ) -> Self {
        let open =
            Some(Open { record, call, run: None, chained: None, in_event: None, cancellation, abandoned: false });
        Self { context: Arc::clone(context), request, open }
    }

    /// Its cancellation.
    pub fn cancellation(&self) -> Option<&Cancellation> {
        self.open().cancellation.as_ref()
    }

    fn open(&self) -> &Open {
        self.open.as_ref().expect("an invocation is open until it is finished, which consumes it")
    }

    fn open_mut(&mut self) -> &mut Open {
        self.open.as_mut().expect("an invocation is open until it is finished, which consumes it")
    }

    fn run(&self) -> &Run {
        self.open().run.as_ref().expect("a response only comes from an instance, which the invocation keeps")
    }

    /// The resolved version.
    pub fn version(&self) -> &CatalogVersion {
        &self.open().call.version
    }

    /// Sends the request to an instance and waits for the result of `send`, which adds the stamp.
    /// An instance that accepts no connection is replaced once, since nothing of the request has
    /// reached it.
    pub async fn dispatch<T, F>(&mut self, mut request: Request<RequestBody>, send: F) -> Result<T, Failure>
    where
        F: AsyncFn(
            &Instance<UpstreamState>,
            Request<RequestBody>,
            Stamp<'_>,
            &Config,
            &InFlight,
        ) -> Result<T, UpstreamError>,
    {
        let mut replacements_left = 1;
        loop {
            self.lease_unless_canceled(Wanted::Request(request.headers(), request.uri())).await?;
            let (run, config) = (self.run(), &self.context.config);
            let of_version = run.lease.slot.headers(&run.lease.version, &self.context.platform);
            let stamp = Stamp { of_version, request: &self.request };
            let work = send(&run.lease, request, stamp, config, &run.in_flight);
            let work = guarded(&run.lease, run.deadline(), config.exit_wait_max(), work);
            match run.until_canceled(self.cancellation(), work).await {
                Ok(received) => return Ok(received),
                Err(Stopped::Failed(UpstreamError::Unreachable { request: back, .. })) if replacements_left > 0 => {
                    replacements_left -= 1;
                    request = *back;
                    run.lease.recycle();
                    self.open_mut().run = None;
                }
                Err(stopped) => return Err(run.failure(stopped, config.exit_wait_max()).await),
            }
        }
    }

    /// Waits for `work` on the instance that [`Invocation::dispatch`] leased.
    pub async fn guarded<T>(&self, work: impl Future<Output = Result<T, UpstreamError>>) -> Result<T, Failure> {
        let (run, exit_wait_max) = (self.run(), self.context.config.exit_wait_max());
        let work = guarded(&run.lease, run.deadline(), exit_wait_max, work);
        match run.until_canceled(self.cancellation(), work).await {
            Ok(done) => Ok(done),
            Err(stopped) => Err(run.failure(stopped, exit_wait_max).await),
        }
    }

    /// When the time limit of the run is over.
    pub fn deadline(&self) -> Instant {
        self.run().deadline()
    }

    /// The time-out failure, for the caller.
    pub fn timed_out(&self) -> Failure {
        self.run().timed_out()
    }

    /// Makes a connection whose response is complete idle, for the instance's next request.
    pub fn recycle_connection(&self, connection: Connection) {
        if self.context.config.kept_connection_ms_max == 0 {
            return;
        }
        let lease = &self.run().lease;
        let idle = lease.slot.idle();
        idle.put(connection, lease.suspensions());
        self.context.sweep.watch(idle);
    }

    /// Starts an instance of a job image with this event, and waits for its end.
    pub async fn run_job(&mut self, input: &Bytes) -> Result<ExitStatus, Failure> {
        // Its program may call the gateway before the start has returned.
        let starting = self.context.event_chains.begin_start();
        self.lease_unless_canceled(Wanted::Job(input)).await?;
        drop(starting);
        let run = self.run();
        let ended = async {
            tokio::select! {
                biased;
                ended = run.lease.process.ended() => Ok(ended),
                () = sleep_until(run.deadline()) => Err(Stopped::TimedOut),
            }
        };
        match run.until_canceled(self.cancellation(), ended).await {
            Ok(ended) => Ok(ended),
            Err(stopped) => Err(run.failure(stopped, self.context.config.exit_wait_max()).await),
        }
    }

    /// The failure of a job that has ended; `None` on success.
    pub fn failure_of_job(&self, ended: &ExitStatus) -> Option<Failure> {
        (ended.code != Some(0)).then(|| self.run().ended(ended))
    }

    async fn lease_unless_canceled(&mut self, wanted: Wanted<'_>) -> Result<(), Failure> {
        let Some(cancellation) = self.cancellation().cloned() else { return self.lease_instance(wanted).await };
        tokio::select! {
            biased;
            () = cancellation.requested() => Err(Failure::terminated()),
            leased = self.lease_instance(wanted) => leased,
        }
    }

    async fn lease_instance(&mut self, wanted: Wanted<'_>) -> Result<(), Failure> {
        let lease = self.context.acquire(&self.open().call, &self.request, wanted).await?;
        if enabled!(Level::DEBUG) {
            Span::current().record("instance", display(&lease.id));
        }
        self.open().record.ensure_begun();
        let (run, logs) = (Run::new(lease), &self.context.logs);
        let cold = run.lease.cold();
        if let Some(cold) = &cold {
            // Output of the start precedes its report.
            logs.catch_up(&run.lease.id);
            let peak_bytes = run.lease.process.memory_peak_bytes();
            self.open().record.init(cold, run.lease.version.spec.memory_mb, peak_bytes);
            metering::cold_start(&run.lease.version.function.key, cold);
        }
        let ResolvedCall { depth, event_depth, .. } = self.open().call;
        let address = (depth > 0 || event_depth.is_some()).then(|| run.lease.process.address()).flatten();
        let enter = |chains: &Arc<CallChains>, depth| Some(chains.enter(address?, &run.lease.id, depth));
        let chained = (depth > 0).then(|| enter(&self.context.chains, depth)).flatten();
        let in_event = event_depth.and_then(|depth| enter(&self.context.event_chains, depth));
        run.lease.slot.know(&self.context.event_chains, &run.lease.process);
        if run.alone {
            logs.assign(&run.lease.id, Some(&self.request));
        } else if cold.is_some() {
            logs.assign(&run.lease.id, None);
        }
        let open = self.open_mut();
        (open.run, open.chained, open.in_event) = (Some(run), chained, in_event);
        Ok(())
    }

    /// Ends the invocation and waits until its log is complete. `ret_msg` is the result for the
    /// caller of an event.
    pub async fn finish(mut self, outcome: Result<(), &Failure>, ret_msg: &str) -> Summary {
        let (open, at) = (self.open.take().expect("an invocation is finished once"), Instant::now());
        open.end(&self.context, outcome, Some(ret_msg), at).await
    }

    /// Ends the invocation. Completes its log and returns its lease before it returns, unless the
    /// end of its instance has to be waited for: a task does the rest then.
    pub fn finish_later(mut self, ending: Ending) {
        self.end(ending);
    }

    fn end(&mut self, ending: Ending) {
        let Some(mut open) = self.open.take() else { return };
        let (context, at) = (Arc::clone(&self.context), Instant::now());
        // A body may be dropped outside of the runtime.
        let _entered = self.context.runtime.enter();
        if matches!(ending, Ending::Success) {
            open.close(&context, Ok(()), None, at);
            return;
        }
        let mut closing = Box::pin(async move {
            open.abandoned = matches!(ending, Ending::Abandoned);
            let failure = open.failure_of(ending, context.config.exit_wait_max()).await;
            open.end(&context, failure.as_ref().map_or(Ok(()), Err), None, at).await;
        });
        if closing.as_mut().poll(&mut task::Context::from_waker(Waker::noop())).is_pending() {
            self.context.tasks.spawn(closing);
        }
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        self.end(Ending::Abandoned);
    }
}

impl Open {
    async fn failure_of(&mut self, ending: Ending, exit_wait_max: Duration) -> Option<Failure> {
        match (ending, &mut self.run) {
            (Ending::Success, _) => None,
            (Ending::Failed(failure), _) => Some(failure),
            (Ending::Abandoned, _) => Some(Failure::caller_gone()),
            (Ending::Canceled(cancellation), run) => {
                if let Some(run) = run {
                    run.end_canceled(&cancellation).await;
                }
                Some(Failure::terminated())
            }
            (Ending::Broken(detail), None) => Some(Failure::broken(&detail)),
            (Ending::Broken(detail), Some(run)) => {
                run.lease.returning();
                Some(run.why_lost(&detail, exit_wait_max).await)
            }
        }
    }

    /// Retires an instance that hangs or has ended, and closes the record.
    async fn end(
        mut self,
        context: &Context,
        outcome: Result<(), &Failure>,
        ret_msg: Option<&str>,
        at: Instant,
    ) -> Summary {
        if let Some(run) = &mut self.run {
            run.retire_after(outcome, context.config.exit_wait_max()).await;
        }
        self.close(context, outcome, ret_msg, at)
    }

    /// Writes the last lines, in the contract's order, and only then returns the lease.
    fn close(
        mut self,
        context: &Context,
        outcome: Result<(), &Failure>,
        ret_msg: Option<&str>,
        at: Instant,
    ) -> Summary {
        let cancellation = self.cancellation.take();
        // Waiting for room is not a run.
        if outcome.is_err_and(|failure| failure.status.is_over_quota()) && self.record.withdraw() {
            cancellation.iter().for_each(Cancellation::set_ended);
            return Summary::default();
        }
        let memory_mb = self.call.version.spec.memory_mb;
        let mut closing = Closing { outcome, ret_msg, duration: None, memory_mb, peak_bytes: 0 };
        if let Some(start) = outcome.err().and_then(|failure| failure.start.as_deref()) {
            self.record.init(&start.cold, memory_mb, start.peak_bytes);
            closing.peak_bytes = start.peak_bytes;
        }
        if let Some(run) = &self.run {
            if run.alone {
                context.logs.settle(&run.lease.id);
            }
            closing.duration = Some(at.saturating_duration_since(run.started));
            closing.memory_mb = run.lease.version.spec.memory_mb;
            closing.peak_bytes = run.peak_bytes(at);
            context.out_flows.served(run.lease.slot.out_flow(&run.lease.process, &run.lease.version.function.key));
        }
        self.count(&closing);
        self.record.finish(&closing);
        if let Some(run) = &self.run
            && run.alone
        {
            // Output between two requests belongs to neither.
            context.logs.assign(&run.lease.id, None);
        }
        cancellation.iter().for_each(Cancellation::set_ended);
        let summary = Summary {
            duration: closing.duration.unwrap_or_default(),
            bill_duration_ms: closing.bill_ms(),
            memory_bytes: closing.peak_bytes,
            cold: self.run.as_ref().and_then(|run| run.lease.cold()),
        };
        if let Some(run) = self.run
            && self.abandoned
        {
            hold_until_released(context, run, (self.chained, self.in_event));
        }
        summary
    }

    fn count(&self, closing: &Closing<'_>) {
        match (&self.run, closing.duration) {
            (Some(run), Some(duration)) if closing.outcome.is_ok() => {
                run.lease.slot.successes(&run.lease.version).count(duration);
            }
            _ => metering::invocation(&self.call.version, closing.status(), closing.duration),
        }
    }
}

/// Keeps the lease and the open calls of a run while the server works on its abandoned request: an
/// instance that looked idle would be frozen in the middle of it, or get a request that waits.
fn hold_until_released(context: &Context, run: Run, calls: (Option<OpenCall>, Option<OpenCall>)) {
    let Some(abandoned) = run.in_flight.abandon() else { return };
    let leaving = context.leaving.clone();
    context.tasks.spawn(async move {
        leaving.run_until_cancelled(run.until_released(abandoned)).await;
        drop((run, calls));
    });
}
