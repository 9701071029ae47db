//! Builds the catalog from records, in pure functions: the callable versions of a function, and the
//! next snapshot after a write.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{
    Catalog, CatalogFunction, CatalogVersion, ChangeHistory, ChangeSet, CustomDomain, FunctionChange, FunctionKey,
    FunctionMap, Namespace, SecretKey, SecretRecord, VersionKey,
};

use crate::record::FunctionWithVersions;

/// One change of the catalog by a write.
pub(crate) enum Edit {
    /// The new entry of a function; `None` removes it.
    Function(FunctionKey, Option<Arc<CatalogFunction>>),
    /// All namespaces.
    Namespaces(Vec<Namespace>),
    /// The new quota of the installation, in MB.
    Quota(u64),
    /// The new custom domain of a host name; `None` removes it.
    Domain(String, Option<Arc<CustomDomain>>),
    /// The new versions of a secret; `None` removes it.
    Secret(SecretKey, Option<Arc<SecretRecord>>),
}

/// Callable versions of a function.
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
        event_invoke: function.event_invoke,
        triggers: function.triggers,
    }
}

/// The first snapshot.
pub(crate) fn first(
    functions: Vec<FunctionWithVersions>,
    namespaces: Vec<Namespace>,
    quota_mb: Option<u64>,
    domains: BTreeMap<String, Arc<CustomDomain>>,
    secrets: BTreeMap<SecretKey, Arc<SecretRecord>>,
) -> Catalog {
    let functions =
        functions.into_iter().map(|function| (function.record.key.clone(), Arc::new(entry(function)))).collect();
    let changes = ChangeHistory::default();
    let (domains, secrets) = (Arc::new(domains), Arc::new(secrets));
    Catalog { revision: 1, functions, namespaces, quota_mb, domains, secrets, changes }
}

/// The next snapshot; entries without an edit are shared with the old one.
pub(crate) fn next(old: &Catalog, edits: Vec<Edit>, change_sets_max: usize) -> Catalog {
    let (mut functions, mut changes) = (old.functions.clone(), ChangeSet::default());
    let (mut namespaces, mut quota_mb, mut domains) = (None, old.quota_mb, Arc::clone(&old.domains));
    let mut secrets = Arc::clone(&old.secrets);
    for edit in edits {
        match edit {
            Edit::Function(key, entry) => changes.functions.extend(change_function(&mut functions, key, entry)),
            Edit::Namespaces(all) => namespaces = Some(all),
            Edit::Quota(mb) => (quota_mb, changes.quota) = (Some(mb), true),
            Edit::Domain(name, Some(domain)) => drop(Arc::make_mut(&mut domains).insert(name, domain)),
            Edit::Domain(name, None) => drop(Arc::make_mut(&mut domains).remove(&name)),
            Edit::Secret(key, Some(secret)) => drop(Arc::make_mut(&mut secrets).insert(key, secret)),
            Edit::Secret(key, None) => drop(Arc::make_mut(&mut secrets).remove(&key)),
        }
    }
    Catalog {
        revision: old.revision + 1,
        functions,
        namespaces: namespaces.unwrap_or_else(|| old.namespaces.clone()),
        quota_mb,
        domains,
        secrets,
        changes: old.changes.next(changes, change_sets_max),
    }
}

/// Replaces or removes a function's entry; returns `None` if there was none to remove.
fn change_function(
    functions: &mut FunctionMap,
    key: FunctionKey,
    entry: Option<Arc<CatalogFunction>>,
) -> Option<FunctionChange> {
    let old = match &entry {
        Some(entry) => functions.insert(key.clone(), Arc::clone(entry)),
        None => functions.remove(&key),
    };
    let id = entry.as_ref().or(old.as_ref())?.record.id.clone();
    let is_served = |old: &VersionKey| {
        let version = entry.as_ref().and_then(|entry| entry.versions.get(&old.version));
        version.is_some_and(|version| version.key == *old)
    };
    let before = old.iter().flat_map(|old| old.versions.values()).map(|version| &version.key);
    let unserved = before.filter(|key| !is_served(key)).cloned().collect();
    Some(FunctionChange { key, id, unserved })
}
