//! What all handles, runs and tasks of an invoker share.

use std::sync::Arc;

use logs::Logs;
use pool::Pool;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use types::catalog::Lookup;
use types::{CatalogVersion, RouteBy, SharedCatalog};

use crate::call::{Platform, Target};
use crate::config::Config;
use crate::connection::Slot;

pub(crate) struct Shared {
    pub catalog: SharedCatalog,
    pub pool: Pool<Slot>,
    pub logs: Logs,
    pub config: Config,
    pub platform: Platform,
    /// Runs of events, and what remains to be done after a web answer is complete.
    pub tasks: TaskTracker,
    /// Where they run, also when a body is dropped outside of the runtime.
    pub runtime: Handle,
}

impl Shared {
    pub fn resolve(&self, target: &Target) -> Result<Arc<CatalogVersion>, Lookup> {
        self.catalog.load().find(&target.function, &target.qualifier, RouteBy::MAIN)
    }
}
