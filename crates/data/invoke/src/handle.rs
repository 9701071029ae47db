//! The public handle: invokes functions, reports usage, shuts down.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use logs::Logs;
use pool::{Launch, Pool};
use supervisor::restarting;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};
use types::catalog::Lookup;
use types::{
    CatalogVersion, EventInvokeConfig, FunctionKey, FunctionRecord, RequestId, SharedCatalog, Trigger, TriggerId,
};

use crate::call::{Body, BoxError, EventCall, EventResult, Installation, Target, empty_body};
use crate::config::Config;
use crate::context::Context;
use crate::deferred_records::DeferredRecords;
use crate::failure::Failure;
use crate::metering::OutFlows;
use crate::recorded_launch::RecordedLaunch;
use crate::resolve::ResolvedCall;
use crate::results::Results;
use crate::route::RoutingKey;
use crate::upstream::IdleSweep;
use crate::upstream::UpstreamState;
use crate::{event, metering, serve};

/// Invokes functions; cheap to clone.
#[derive(Clone)]
pub struct Invoker {
    context: Arc<Context>,
}

/// A version of which an instance has started; see [`pool::Checked`].
pub struct CheckedStart(#[expect(dead_code, reason = "held for its drop")] pool::Checked<UpstreamState>);

/// Dependencies of an [`Invoker`].
pub struct Parts {
    /// The functions that can be called.
    pub catalog: SharedCatalog,
    /// Ticks after each change of the catalog.
    pub changes: watch::Receiver<u64>,
    /// Starts instances.
    pub launch: Arc<dyn Launch>,
    /// Receives output and records.
    pub logs: Logs,
    /// Facts about the installation that are passed to functions.
    pub platform: Installation,
    /// Folder of results of events whose callers no longer waited.
    pub results_dir: PathBuf,
}

impl Invoker {
    /// Creates an invoker with a pool of its own. `shutdown` ends the pool's maintenance;
    /// [`Invoker::drain`] ends its instances. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the folder of results cannot be created or read.
    pub fn new(
        parts: Parts,
        config: Config,
        pool_config: pool::Config,
        shutdown: &CancellationToken,
    ) -> io::Result<Self> {
        metering::describe();
        let Parts { catalog, changes, launch, logs, platform, results_dir } = parts;
        let results = Arc::new(Results::open(results_dir, &config)?);
        let deferred_records = Arc::new(DeferredRecords::new(logs.clone()));
        let launch = RecordedLaunch { launch, logs: logs.clone(), deferred_records: Arc::clone(&deferred_records) };
        let launch = Arc::new(launch);
        let pool = Pool::new(launch, Arc::clone(&catalog), changes, pool_config, shutdown);
        let tasks = TaskTracker::new();
        let (leaving, runtime) = (CancellationToken::new(), Handle::current());
        let out_flows = Arc::new(OutFlows::default());
        tokio::spawn({
            let (out_flows, leaving) = (Arc::clone(&out_flows), leaving.clone());
            async move { leaving.run_until_cancelled(restarting("out flows", || out_flows.run())).await }
        });
        let sweep = Arc::new(IdleSweep::default());
        tokio::spawn({
            let (sweep, leaving, unused_max) = (Arc::clone(&sweep), leaving.clone(), config.kept_connection_max());
            async move { leaving.run_until_cancelled(restarting("idle connections", || sweep.run(unused_max))).await }
        });
        let context = Context {
            catalog,
            pool,
            logs,
            deferred_records,
            out_flows,
            chains: Arc::default(),
            event_chains: Arc::default(),
            sweep,
            config,
            platform,
            results,
            tasks,
            leaving,
            runtime,
        };
        Ok(Self { context: Arc::new(context) })
    }

    /// Resolves a call `request` of `target`; rules of aliases are matched against `key`.
    ///
    /// # Errors
    /// When no such function, version or alias can be called.
    pub fn resolve(&self, target: &Target, request: &RequestId, key: &RoutingKey) -> Result<ResolvedCall, Lookup> {
        let catalog = self.context.catalog.load();
        let no_function = || Lookup::NoFunction(target.function.clone());
        let function = catalog.functions.get(&target.function).ok_or_else(no_function)?;
        ResolvedCall::of_event(function, target.qualifier.clone(), request, key)
    }

    /// Resolves an HTTP request; rules of aliases are matched against its headers.
    ///
    /// # Errors
    /// When no such function, version or alias can be called.
    pub fn resolve_request(&self, target: &Target, id: &RequestId, head: &HeaderMap) -> Result<ResolvedCall, Lookup> {
        let catalog = self.context.catalog.load();
        let no_function = || Lookup::NoFunction(target.function.clone());
        let function = catalog.functions.get(&target.function).ok_or_else(no_function)?;
        ResolvedCall::of_request(function, target.qualifier.clone(), id, head).map_err(|unresolved| unresolved.cause)
    }

    /// The settings of an existing function that apply to all its versions.
    pub fn function_record(&self, function: &FunctionKey) -> Option<Arc<FunctionRecord>> {
        self.context.catalog.load().functions.get(function).map(|function| Arc::clone(&function.record))
    }

    /// A trigger of a function, where both exist.
    pub fn trigger(&self, function: &FunctionKey, id: &TriggerId) -> Option<Arc<Trigger>> {
        let catalog = self.context.catalog.load();
        catalog.functions.get(function)?.triggers.iter().find(|trigger| trigger.id == *id).cloned()
    }

    /// The retry settings of a function's events; the default where there is no such function.
    pub fn event_invoke(&self, function: &FunctionKey) -> EventInvokeConfig {
        self.context.catalog.load().functions.get(function).map(|function| function.event_invoke).unwrap_or_default()
    }

    /// Runs an event to its end, even if the caller goes away: its result is then kept for
    /// [`Invoker::kept_result`]. Failures are results too.
    pub async fn event(&self, call: ResolvedCall, event: EventCall) -> EventResult {
        let (sender, result) = oneshot::channel();
        let span = invoke_span(&call, &event.request_id);
        let run = event::run(Arc::clone(&self.context), call, event.clone()).instrument(span);
        let results = Arc::clone(&self.context.results);
        let waiting = Waiting { result, results: Arc::clone(&results), runtime: self.context.runtime.clone() };
        let run = async move {
            if let Err(unheard) = sender.send(run.await) {
                keep(results, unheard).await;
            }
        };
        self.context.tasks.spawn_on(run, &self.context.runtime);
        waiting.result().await.unwrap_or_else(|| {
            tracing::error!(request = %event.request_id, "the run of an event was cut short");
            event::failed(event, &Failure::internal("the run of the event was cut short"))
        })
    }

    /// The result of an event whose caller no longer waited when it ended, while it is kept.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub async fn kept_result(&self, request: &RequestId) -> io::Result<Option<EventResult>> {
        let (results, request) = (Arc::clone(&self.context.results), request.clone());
        spawn_blocking(move || results.get(&request)).await.map_err(io::Error::other)?
    }

    /// Forwards a request to an instance and returns its response, both streamed. Failures of the
    /// platform are responses too: JSON with the status of the run, and `X-Scf-Status`. A caller
    /// that drops the future or the body of the response cancels the invocation.
    pub async fn web<B>(&self, call: ResolvedCall, id: RequestId, request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let request = request.map(|body| match body.is_end_stream() {
            true => empty_body(),
            false => body.map_err(Into::into).boxed_unsync(),
        });
        let span = invoke_span(&call, &id);
        serve::serve(&self.context, call, id, request).instrument(span).await
    }

    /// Starts an instance of a version that the catalog does not have yet, to check that it starts;
    /// it serves the version's first call. See [`Pool::check`].
    ///
    /// # Errors
    /// Those of [`Pool::check`].
    pub async fn check_start(
        &self,
        version: &Arc<CatalogVersion>,
        wait_max: Duration,
    ) -> Result<CheckedStart, pool::LeaseError> {
        self.context.pool.check(version, wait_max).await.map(CheckedStart)
    }

    /// Replaces the instances of the versions for which `affected` is true, each when its requests
    /// have ended. See [`Pool::restart`].
    pub fn restart(&self, affected: impl Fn(&CatalogVersion) -> bool) -> usize {
        self.context.pool.restart(affected)
    }

    /// The chain depth of a new call by the instance at an address: one more than the deepest call
    /// that it serves, where calls from outside have depth 0.
    pub fn chain_depth(&self, caller: IpAddr) -> u32 {
        self.context.chains.depth_from(caller)
    }

    /// The number of events that led to the run that the instance at an address serves, or to the
    /// call of another instance in such a run; the maximum, where there are several.
    pub async fn event_depth(&self, caller: IpAddr) -> Option<u32> {
        self.context.event_chains.deepest_after_starts(caller).await
    }

    /// Writes to the log of the instance at an address that one of its calls was refused for its
    /// depth; once while it serves calls of others.
    pub fn report_chain(&self, caller: IpAddr, line: &str) {
        if let Some(instance) = self.context.chains.first_refused(caller) {
            self.context.logs.about(&instance, line);
        }
    }

    /// Current usage.
    pub fn usage(&self) -> pool::Usage {
        self.context.pool.usage()
    }

    /// Progress of a function's provisioned instances, by version.
    pub fn provisioned(&self, function: &FunctionKey) -> Vec<pool::ProvisionedState> {
        self.context.pool.provisioned(function)
    }

    /// The longest stop grace of the running instances.
    pub fn stop_grace(&self) -> Duration {
        self.context.pool.stop_grace()
    }

    /// Shuts down: refuses new invocations, lets running ones end within `grace`, stops the rest,
    /// kills it `stop_grace` later, and returns when the last record is written.
    pub async fn drain(&self, grace: Duration, stop_grace: Duration) {
        self.context.leaving.cancel();
        self.context.pool.drain(grace, stop_grace).await;
        self.context.tasks.close();
        // Without their instances all runs end; each of their waits is bounded.
        self.context.tasks.wait().await;
    }
}

/// The span of an invocation until its response begins; its instance is recorded later.
fn invoke_span(call: &ResolvedCall, request: &RequestId) -> Span {
    debug_span!("invoke", %request, function = %call.version.function.key, instance = Empty)
}

/// A caller that waits for a result. If it goes away between the end of the run and the response,
/// the result is kept.
struct Waiting {
    result: oneshot::Receiver<EventResult>,
    results: Arc<Results>,
    runtime: Handle,
}

impl Waiting {
    async fn result(mut self) -> Option<EventResult> {
        (&mut self.result).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.result.close();
        if let Ok(unheard) = self.result.try_recv() {
            self.runtime.spawn(keep(Arc::clone(&self.results), unheard));
        }
    }
}

async fn keep(results: Arc<Results>, result: EventResult) {
    // Fails only when the runtime ends, and then no caller could read the result.
    let _ = spawn_blocking(move || results.keep(&result)).await;
}
