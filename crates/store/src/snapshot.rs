//! Makes the catalog from records, as pure functions: what can be called of a function, and the next snapshot after a
//! write. Must not know SQL, nor who reads the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Catalog, CatalogFunction, CatalogVersion, CustomDomain, FunctionKey, Namespace, VersionKey};

use crate::record::FunctionWithVersions;

/// One thing that a write changes in the catalog.
pub(crate) enum Edit {
    /// The function has this entry now, or none any more.
    Function(FunctionKey, Option<Arc<CatalogFunction>>),
    /// These are all namespaces.
    Namespaces(Vec<Namespace>),
    /// The installation has this quota, in MB.
    Quota(u64),
    /// The host name has this custom domain now, or none any more.
    Domain(String, Option<Arc<CustomDomain>>),
}

/// What can be called of a function.
pub(crate) fn entry(function: FunctionWithVersions) -> CatalogFunction {
    let status = function.latest().status;
    let record = Arc::new(function.record);
    let versions = function.versions.into_iter().filter_map(|version| {
        let serving = version.serving?;
        let key =
            VersionKey { function_id: version.function_id, version: version.version, generation: serving.generation };
        let callable = CatalogVersion { key, function: record.clone(), spec: serving.spec, image: serving.image };
        Some((version.version, Arc::new(callable)))
    });
    let versions = versions.collect();
    let aliases = function.aliases.into_iter().map(|(name, alias)| (name, alias.route)).collect();
    CatalogFunction {
        record,
        status,
        versions,
        aliases,
        reserved_mb: function.reserved_mb,
        provisioned: function.provisioned,
    }
}

/// The first snapshot.
pub(crate) fn first(
    functions: Vec<FunctionWithVersions>,
    namespaces: Vec<Namespace>,
    quota_mb: Option<u64>,
    domains: BTreeMap<String, Arc<CustomDomain>>,
) -> Catalog {
    let functions =
        functions.into_iter().map(|function| (function.record.key.clone(), Arc::new(entry(function)))).collect();
    Catalog { revision: 1, functions, namespaces, quota_mb, domains: Arc::new(domains) }
}

/// The next snapshot; entries that no edit names are shared with the old one.
pub(crate) fn next(old: &Catalog, edits: Vec<Edit>) -> Catalog {
    let mut functions = old.functions.clone();
    let (mut namespaces, mut quota_mb, mut domains) = (None, old.quota_mb, Arc::clone(&old.domains));
    for edit in edits {
        match edit {
            Edit::Function(key, Some(entry)) => functions.insert(key, entry),
            Edit::Function(key, None) => functions.remove(&key),
            Edit::Namespaces(all) => namespaces = Some(all),
            Edit::Quota(mb) => quota_mb = Some(mb),
            Edit::Domain(name, Some(domain)) => drop(Arc::make_mut(&mut domains).insert(name, domain)),
            Edit::Domain(name, None) => drop(Arc::make_mut(&mut domains).remove(&name)),
        }
    }
    Catalog {
        revision: old.revision + 1,
        functions,
        namespaces: namespaces.unwrap_or_else(|| old.namespaces.clone()),
        quota_mb,
        domains,
    }
}
