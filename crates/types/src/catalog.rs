//! The snapshot that the request path reads: all functions and the serving state of their versions.
//!
//! A snapshot is immutable. A change creates a new one, which shares unchanged parts, and swaps the
//! pointer, so that readers never wait for a deployment.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::alias::RouteBy;
use crate::catalog_changes::{ChangeHistory, ChangeSet};
use crate::catalog_function::CatalogVersion;
pub use crate::catalog_function::Lookup;
use crate::domain::CustomDomain;
use crate::function_map::FunctionMap;
use crate::ids::{FunctionKey, Namespace, Qualifier};
use crate::secrets::{SecretKey, SecretRecord};

/// The current snapshot; cheap to clone and load.
pub type SharedCatalog = Arc<ArcSwap<Catalog>>;

/// All functions.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Number of the snapshot.
    pub revision: u64,
    /// All functions that are not being deleted.
    pub functions: FunctionMap,
    /// All namespaces.
    pub namespaces: Vec<Namespace>,
    /// Memory quota of the installation in MB, if set.
    pub quota_mb: Option<u64>,
    /// Custom domains, by host name.
    pub domains: Arc<BTreeMap<String, Arc<CustomDomain>>>,
    /// Secrets with sealed values.
    pub secrets: Arc<BTreeMap<SecretKey, Arc<SecretRecord>>>,
    /// Changes of the newest revisions, including this one.
    pub changes: ChangeHistory,
}

impl Catalog {
    /// Changes of the revisions after `seen`, up to this one; `None` when the history is too short,
    /// so that anything may have changed.
    pub fn changes_since(&self, seen: u64) -> Option<impl Iterator<Item = &ChangeSet>> {
        self.changes.since(seen, self.revision)
    }

    /// Resolves a call of `key` with `qualifier` to a version; `by` chooses between two versions of
    /// an alias.
    pub fn find(
        &self,
        key: &FunctionKey,
        qualifier: &Qualifier,
        by: RouteBy<'_>,
    ) -> Result<Arc<CatalogVersion>, Lookup> {
        self.functions.get(key).ok_or_else(|| Lookup::NoFunction(key.clone()))?.find(qualifier, by)
    }
}
