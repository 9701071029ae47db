//! What all handles, invocations and tasks of an invoker share.

use std::sync::Arc;

use logs::Logs;
use pool::Pool;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::catalog::Lookup;
use types::{CatalogVersion, Qualifier, RequestId, RouteBy, SharedCatalog};

use crate::call::{Platform, Target};
use crate::config::Config;
use crate::metering::OutFlows;
use crate::results::Results;
use crate::route;
use crate::upstream::IdleSweep;
use crate::upstream::UpstreamState;

pub(crate) struct Context {
    pub catalog: SharedCatalog,
    pub pool: Pool<UpstreamState>,
    pub logs: Logs,
    pub out_flows: Arc<OutFlows>,
    /// Of the connections to instances.
    pub sweep: Arc<IdleSweep>,
    pub config: Config,
    pub platform: Platform,
    /// Results that nobody waited for.
    pub results: Arc<Results>,
    /// Runs of events, and what remains to be done after a web answer is complete.
    pub tasks: TaskTracker,
    /// Cancelled when the platform shuts down: connections without an end of their own are closed.
    pub leaving: CancellationToken,
    /// Where they run, also when a body is dropped outside of the runtime.
    pub runtime: Handle,
}

impl Context {
    /// What a call of `target` runs.
    pub fn resolve(&self, target: &Target, by: RouteBy<'_>) -> Result<Arc<CatalogVersion>, Lookup> {
        self.catalog.load().find(&target.function, &target.qualifier, by)
    }

    /// What a call of `target` runs that was to run `before`: the newest of that version, for a call is not routed twice.
    /// A version that was deleted meanwhile has left the route of every alias, and the call goes where that leads now.
    pub fn resolve_again(
        &self,
        target: &Target,
        before: &CatalogVersion,
        request: &RequestId,
    ) -> Result<Arc<CatalogVersion>, Lookup> {
        let catalog = self.catalog.load();
        let same = catalog.find(&target.function, &Qualifier::Version(before.key.version), RouteBy::MAIN);
        // A rule that led to the version is gone with it, so no header matters any more.
        let by = RouteBy { draw: route::draw(request), ..RouteBy::MAIN };
        same.or_else(|_| catalog.find(&target.function, &target.qualifier, by))
    }
}
