//! The snapshot that the request path reads: every function and what each of its versions serves
//! now.
//!
//! A snapshot is immutable; a change makes a new one and swaps the pointer, so a reader never waits
//! for a deploy. The new one shares what did not change with the old one.

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

/// The snapshot in force; cheap to clone, cheap to load.
pub type SharedCatalog = Arc<ArcSwap<Catalog>>;

/// All functions.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Counts the snapshots.
    pub revision: u64,
    /// Every function that is not being removed.
    pub functions: FunctionMap,
    /// Every namespace.
    pub namespaces: Vec<Namespace>,
    /// Quota of the whole installation in MB, when its owner has set one.
    pub quota_mb: Option<u64>,
    /// Custom domains, by host name.
    pub domains: Arc<BTreeMap<String, Arc<CustomDomain>>>,
    /// Secrets, their values sealed.
    pub secrets: Arc<BTreeMap<SecretKey, Arc<SecretRecord>>>,
    /// Changes of the newest revisions, this one included.
    pub changes: ChangeHistory,
}

impl Catalog {
    /// Changes of the revisions after `seen`, up to this one; `None` when they are not known any
    /// more, so that everything may have changed.
    pub fn changes_since(&self, seen: u64) -> Option<impl Iterator<Item = &ChangeSet>> {
        self.changes.since(seen, self.revision)
    }

    /// Finds what a call of `key` with `qualifier` runs; `by` is for aliases that lead to two
    /// versions.
    pub fn find(
        &self,
        key: &FunctionKey,
        qualifier: &Qualifier,
        by: RouteBy<'_>,
    ) -> Result<Arc<CatalogVersion>, Lookup> {
        self.functions.get(key).ok_or_else(|| Lookup::NoFunction(key.clone()))?.find(qualifier, by)
    }
}
