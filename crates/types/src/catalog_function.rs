//! The catalog's entry of a function: callable versions, aliases and quota.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alias::RouteBy;
use crate::alias_map::AliasMap;
use crate::concurrency::ProvisionedSpec;
use crate::event_invoke::EventInvokeConfig;
use crate::function::{FunctionRecord, PinnedImage, Status, VersionSpec};
use crate::ids::{FunctionKey, Qualifier, VersionKey, VersionName};
use crate::trigger::Trigger;

/// A callable version.
#[derive(Debug)]
pub struct CatalogVersion {
    /// Its key; each generation has another.
    pub key: VersionKey,
    /// Its function.
    pub function: Arc<FunctionRecord>,
    /// Serving configuration.
    pub spec: VersionSpec,
    /// Serving image.
    pub image: PinnedImage,
}

/// A function with its callable state.
#[derive(Debug)]
pub struct CatalogFunction {
    /// Settings shared by all versions.
    pub record: Arc<FunctionRecord>,
    /// State of `$LATEST`, for the error when it is not callable.
    pub status: Status,
    /// Callable versions.
    pub versions: BTreeMap<VersionName, Arc<CatalogVersion>>,
    /// Routes by alias; always contains `$DEFAULT`.
    pub aliases: AliasMap,
    /// Memory in MB reserved for this function, which is also its limit. 0 stops it; `None` shares
    /// the unreserved memory.
    pub reserved_mb: Option<u64>,
    /// Provisioned concurrency by published version.
    pub provisioned: BTreeMap<VersionName, Arc<ProvisionedSpec>>,
    /// Retries and maximum age of its asynchronous events.
    pub event_invoke: EventInvokeConfig,
    /// Its triggers, ordered by kind, name and qualifier.
    pub triggers: Vec<Arc<Trigger>>,
}

impl CatalogFunction {
    /// Resolves a qualifier to a version; `by` chooses between two versions of an alias.
    ///
    /// # Errors
    /// No such version or alias, or `$LATEST` is not callable.
    pub fn find(&self, qualifier: &Qualifier, by: RouteBy<'_>) -> Result<Arc<CatalogVersion>, Lookup> {
        let no_qualifier = || Lookup::NoQualifier(self.record.key.clone(), qualifier.clone());
        let version = match qualifier {
            Qualifier::Version(version) => *version,
            Qualifier::Alias(name) => self.aliases.get(name).ok_or_else(no_qualifier)?.choose(by),
        };
        match self.versions.get(&version) {
            Some(found) => Ok(found.clone()),
            None if version == VersionName::Latest => Err(Lookup::NotCallable(self.record.key.clone(), self.status)),
            None => Err(no_qualifier()),
        }
    }

    /// Memory of the installation's quota that is unavailable to other functions, in MB: the
    /// reservation, or without one the provisioned memory.
    pub fn committed_mb(&self) -> u64 {
        self.reserved_mb.unwrap_or_else(|| self.provisioned_mb())
    }

    /// Memory of its provisioned instances, in MB.
    pub fn provisioned_mb(&self) -> u64 {
        self.provisioned_mb_without(None)
    }

    /// The same without one version.
    pub fn provisioned_mb_without(&self, version: Option<VersionName>) -> u64 {
        let each = |(name, spec): (&VersionName, &Arc<ProvisionedSpec>)| {
            let memory_mb = self.versions.get(name).map_or(0, |version| version.spec.memory_mb);
            u64::from(spec.most()) * u64::from(memory_mb)
        };
        self.provisioned.iter().filter(|(name, _)| Some(**name) != version).map(each).sum()
    }
}

/// Why a call does not resolve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lookup {
    /// No such function.
    #[error("function {0} does not exist")]
    NoFunction(FunctionKey),
    /// The function has neither such a version nor such an alias.
    #[error("function {0} has no version or alias {1}")]
    NoQualifier(FunctionKey, Qualifier),
    /// The function exists, but no version is callable now.
    #[error("function {0} is {status} and cannot be called", status = .1.as_str())]
    NotCallable(FunctionKey, Status),
}
