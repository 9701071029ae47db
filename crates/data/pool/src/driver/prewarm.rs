//! Instances that are ready before a request: provisioned concurrency and the forecast.

use std::sync::Arc;

use tokio::time::Instant;
use types::{FunctionKey, ProvisionedSpec, VersionName};

use super::{Driver, maintenance};
use crate::state::{VersionFacts, VersionState};
use crate::usage::ProvisionedState;
use crate::version::Version;

impl<C: Default + Send + Sync + 'static> Driver<C> {
    /// Starts the instance that the next request is expected to need. On the request path, so it
    /// does nothing else.
    pub fn start_next(self: &Arc<Self>, version: &Arc<Version<C>>) {
        self.apply(version, |locked, now, effects| {
            if locked.state.table.lacks_next(now) {
                locked.state.start_next(&mut self.admission.lock(), now, effects);
            }
        });
    }

    /// Progress of all provisioned instances, by function and version.
    pub fn all_provisioned(&self) -> Vec<ProvisionedState> {
        let mut states: Vec<ProvisionedState> = Vec::new();
        for version in self.all_versions() {
            let locked = version.locked.lock();
            if locked.state.wanted() > 0 {
                states.push(locked.state.provisioned());
            }
        }
        states.sort_by(|a, b| (&a.function, a.version).cmp(&(&b.function, b.version)));
        states
    }

    /// Progress of a function's provisioned instances, by version.
    pub fn provisioned(&self, function: &FunctionKey) -> Vec<ProvisionedState> {
        let catalog = self.catalog.load();
        let Some(function) = catalog.functions.get(function) else { return Vec::new() };
        let state = |name: &VersionName, spec: &Arc<ProvisionedSpec>| {
            let catalog = function.versions.get(name)?;
            let version = self.versions.read().map.get(&catalog.key).cloned();
            Some(match version {
                Some(version) => provisioned_now(&mut version.locked.lock().state, spec),
                // The catalog may have changed a moment ago.
                None => provisioned_now(&mut VersionState::new(VersionFacts::of(catalog), &self.config), spec),
            })
        };
        function.provisioned.iter().filter_map(|(name, spec)| state(name, spec)).collect()
    }
}

fn provisioned_now(state: &mut VersionState, spec: &Arc<ProvisionedSpec>) -> ProvisionedState {
    if state.provision(Some(spec)) {
        state.update_provisioning(Instant::now(), maintenance::unix_ms());
    }
    state.provisioned()
}
