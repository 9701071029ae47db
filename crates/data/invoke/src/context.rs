//! What all handles, invocations and tasks of an invoker share.

use std::sync::Arc;

use logs::Logs;
use pool::Pool;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::SharedCatalog;

use crate::call::Installation;
use crate::call_chain::CallChains;
use crate::config::Config;
use crate::deferred_records::DeferredRecords;
use crate::metering::OutFlows;
use crate::results::Results;
use crate::upstream::IdleSweep;
use crate::upstream::UpstreamState;

pub(crate) struct Context {
    pub catalog: SharedCatalog,
    pub pool: Pool<UpstreamState>,
    pub logs: Logs,
    pub deferred_records: Arc<DeferredRecords>,
    pub out_flows: Arc<OutFlows>,
    /// Calls that instances have from others.
    pub chains: Arc<CallChains>,
    /// Runs of events, and calls that instances make within one: each with the depth of its event.
    pub event_chains: Arc<CallChains>,
    /// Of the connections to instances.
    pub sweep: Arc<IdleSweep>,
    pub config: Config,
    pub platform: Installation,
    /// Results whose callers had stopped waiting.
    pub results: Arc<Results>,
    /// Runs of events, WebSocket connections, and invocations that end only when their instance
    /// has.
    pub tasks: TaskTracker,
    /// Cancelled when the platform shuts down: connections without an end of their own are closed.
    pub leaving: CancellationToken,
    /// Where they run, also when a body is dropped outside of the runtime.
    pub runtime: Handle,
}
