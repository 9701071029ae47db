//! Follows the catalog by its change sets: the work grows with the number of changes, not with the
//! number of functions or versions.

use std::collections::HashSet;
use std::sync::Arc;

use types::{Catalog, CatalogFunction, FunctionChange, VersionKey};

use super::Driver;
use crate::version::Version;

impl<C: Default + Send + Sync + 'static> Driver<C> {
    /// Follows the revisions of the catalog after `seen`, and returns how many versions it
    /// examined. Returns `None` without doing anything when every version has to be examined,
    /// because the changes are no longer retained or a quota changed.
    pub(super) fn follow_changes(self: &Arc<Self>, catalog: &Catalog, seen: u64) -> Option<usize> {
        let mut changes = Vec::new();
        for set in catalog.changes_since(seen)? {
            if set.quota {
                return None;
            }
            changes.extend(&set.functions);
        }
        if self.reservations_differ(catalog, &changes) {
            return None;
        }
        let (mut looked_at, mut functions) = (0, HashSet::new());
        for change in changes {
            for key in &change.unserved {
                if let Some(version) = self.in_pool(key) {
                    self.follow_version(&version, None);
                }
                looked_at += 1;
            }
            if functions.insert(&change.id)
                && let Some(function) = current(catalog, change)
            {
                looked_at += self.follow_function(function);
            }
        }
        // Room may have come free.
        self.retry_claims();
        Some(looked_at)
    }

    fn reservations_differ(&self, catalog: &Catalog, changes: &[&FunctionChange]) -> bool {
        let admission = self.admission.lock();
        let reserved_mb = |change| current(catalog, change).and_then(|function| function.reserved_mb);
        changes.iter().any(|change| reserved_mb(change) != admission.reserved_mb(&change.id))
    }

    fn follow_function(self: &Arc<Self>, function: &CatalogFunction) -> usize {
        for (name, callable) in &function.versions {
            let spec = function.provisioned.get(name);
            let version = match spec {
                // A pool that is shutting down starts no instances.
                Some(_) => self.version(callable).ok(),
                None => self.in_pool(&callable.key),
            };
            if let Some(version) = version {
                self.follow_version(&version, spec);
            }
        }
        function.versions.len()
    }

    fn in_pool(&self, key: &VersionKey) -> Option<Arc<Version<C>>> {
        self.versions.read().map.get(key).cloned()
    }
}

/// The function as it is now; `None` when it was deleted, even if another one has its name.
fn current<'a>(catalog: &'a Catalog, change: &FunctionChange) -> Option<&'a CatalogFunction> {
    let function = catalog.functions.get(&change.key).filter(|function| function.record.id == change.id);
    function.map(AsRef::as_ref)
}
