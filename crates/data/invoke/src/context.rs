//! State shared by all handles, invocations and tasks of an invoker.

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
    /// Open calls between instances.
    pub chains: Arc<CallChains>,
    /// Runs of events, and calls that instances make within one, each with the depth of its event.
    pub event_chains: Arc<CallChains>,
    /// Closes idle connections to instances.
    pub sweep: Arc<IdleSweep>,
    pub config: Config,
    pub platform: Installation,
    /// Results whose callers no longer waited.
    pub results: Arc<Results>,
    /// Runs of events, WebSocket connections, and invocations that end only when their instance has
    /// ended.
    pub tasks: TaskTracker,
    /// Cancelled when the platform shuts down: connections without an end of their own are closed.
    pub leaving: CancellationToken,
    /// The runtime of these tasks, also used when a body is dropped outside of it.
    pub runtime: Handle,
}
