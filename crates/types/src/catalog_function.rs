//! The catalog's entry of one function: its callable versions, its aliases and its quota.

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
    /// Its identity; another generation is another key.
    pub key: VersionKey,
    /// The function that it belongs to.
    pub function: Arc<FunctionRecord>,
    /// Configuration in force.
    pub spec: VersionSpec,
    /// Image in force.
    pub image: PinnedImage,
}

/// A function with what can be called of it.
#[derive(Debug)]
pub struct CatalogFunction {
    /// Settings shared by all versions.
    pub record: Arc<FunctionRecord>,
    /// State of `$LATEST`, for a clear answer when it is not callable.
    pub status: Status,
    /// Callable versions.
    pub versions: BTreeMap<VersionName, Arc<CatalogVersion>>,
    /// Where each alias leads; `$DEFAULT` is always there.
    pub aliases: AliasMap,
    /// Quota that belongs to this function alone, and is all it gets, in MB; 0 stops it, `None` is
    /// a share of what no function has reserved.
    pub reserved_mb: Option<u64>,
    /// Instances kept ready, by published version.
    pub provisioned: BTreeMap<VersionName, Arc<ProvisionedSpec>>,
    /// How its asynchronous events are retried and given up.
    pub event_invoke: EventInvokeConfig,
    /// Its triggers, in order of kind, name and qualifier.
    pub triggers: Vec<Arc<Trigger>>,
}

impl CatalogFunction {
    /// The version that a call with `qualifier` runs; `by` is for aliases that lead to two
    /// versions.
    ///
    /// # Errors
    /// When there is no such version or alias, or `$LATEST` cannot be called.
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

    /// Memory of the installation's quota that other functions cannot have, in MB: what is
    /// reserved, else what is provisioned.
    pub fn committed_mb(&self) -> u64 {
        self.reserved_mb.unwrap_or_else(|| self.provisioned_mb())
    }

    /// Memory of the instances that are kept ready, in MB.
    pub fn provisioned_mb(&self) -> u64 {
        self.provisioned_mb_without(None)
    }

    /// The same without those of one version.
    pub fn provisioned_mb_without(&self, version: Option<VersionName>) -> u64 {
        let each = |(name, spec): (&VersionName, &Arc<ProvisionedSpec>)| {
            let memory_mb = self.versions.get(name).map_or(0, |version| version.spec.memory_mb);
            u64::from(spec.most()) * u64::from(memory_mb)
        };
        self.provisioned.iter().filter(|(name, _)| Some(**name) != version).map(each).sum()
    }
}

/// Why a call finds no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lookup {
    /// No such function.
    #[error("function {0} does not exist")]
    NoFunction(FunctionKey),
    /// The function has neither such a version nor such an alias.
    #[error("function {0} has no version or alias {1}")]
    NoQualifier(FunctionKey, Qualifier),
    /// The function is there but nothing of it can be called yet (or any more).
    #[error("function {0} is {status} and cannot be called", status = .1.as_str())]
    NotCallable(FunctionKey, Status),
}
