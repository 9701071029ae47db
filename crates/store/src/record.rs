//! Arguments and results of the store that are not records of `types`.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{
    AliasRecord, EventInvokeConfig, FunctionKey, FunctionKind, FunctionRecord, Namespace, ProvisionedSpec, Route,
    Status, Trigger, VersionName, VersionRecord, VersionSpec,
};

/// A namespace with its description and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRecord {
    /// Its name.
    pub name: Namespace,
    /// Free text.
    pub description: String,
    /// Creation time, Unix milliseconds.
    pub added_ms: i64,
    /// Time of the last change of its description, Unix milliseconds.
    pub modified_ms: i64,
}

/// A function to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFunction {
    /// Namespace, which must exist, and name, which must be free.
    pub key: FunctionKey,
    /// Event or web.
    pub kind: FunctionKind,
    /// `Some("WS")` for WebSocket connections.
    pub protocol: Option<String>,
    /// Whether every call is answered with its id at once.
    pub async_run: bool,
    /// Whether event states are kept for a time.
    pub trace: bool,
    /// Labels, key and value.
    pub tags: Vec<(String, String)>,
    /// Configuration of `$LATEST`.
    pub spec: VersionSpec,
}

/// A change of `$LATEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The new configuration.
    pub spec: VersionSpec,
    /// Whether to resolve the image's tag again. False keeps the pinned digest.
    pub resolve: bool,
    /// Whether to publish it as a version as soon as it is active.
    pub publish: bool,
}

/// A version to publish from the serving state of `$LATEST`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publication {
    /// Free text; `None` for the function's description.
    pub description: Option<String>,
    /// Its number, higher than all published ones; `None` for the next one. Skipped numbers are
    /// never used.
    pub number: Option<u32>,
    /// Publish only if [`FunctionWithVersions::revision`] equals this.
    pub revision: Option<String>,
}

/// An alias to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlias {
    /// The function.
    pub key: FunctionKey,
    /// Its name, which must be free.
    pub name: String,
    /// Its route; the versions must exist.
    pub route: Route,
    /// Free text.
    pub description: String,
}

/// A change of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasChange {
    /// The new route; the versions must exist.
    pub route: Route,
    /// Free text; `None` keeps the old one.
    pub description: Option<String>,
}

/// A function with all its versions and aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionWithVersions {
    /// Settings shared by all versions.
    pub record: FunctionRecord,
    /// `$LATEST` first, then the published ones by number.
    pub versions: Vec<VersionRecord>,
    /// The aliases by name; `$DEFAULT` always exists.
    pub aliases: BTreeMap<Arc<str>, AliasRecord>,
    /// Its reservation in MB: memory for it alone, and its upper limit.
    pub reserved_mb: Option<u64>,
    /// Provisioned concurrency of its published versions.
    pub provisioned: BTreeMap<VersionName, Arc<ProvisionedSpec>>,
    /// Retry settings of its asynchronous events.
    pub event_invoke: EventInvokeConfig,
    /// Its triggers, in order of kind, name and qualifier.
    pub triggers: Vec<Arc<Trigger>>,
}

impl FunctionWithVersions {
    /// `$LATEST`.
    pub fn latest(&self) -> &VersionRecord {
        self.versions.first().expect("a function is read only together with its $LATEST")
    }

    /// Identifies the current state of `$LATEST` and of the published versions; each change and
    /// each publication changes it.
    pub fn revision(&self) -> String {
        let newest = self.versions.iter().filter_map(|version| match version.version {
            VersionName::Number(number) => Some(number),
            VersionName::Latest => None,
        });
        let generation = self.latest().generation;
        format!("{}.{generation}.{}", self.record.id, newest.max().unwrap_or_default())
    }

    /// The version with that name, if it exists.
    pub fn version(&self, name: VersionName) -> Option<&VersionRecord> {
        self.versions.iter().find(|version| version.version == name)
    }
}

/// An entry of a list of functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFunction {
    /// Settings shared by all versions.
    pub record: FunctionRecord,
    /// `$LATEST`.
    pub latest: VersionRecord,
}

/// Sort key of a list of functions; equal times are sorted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderBy {
    /// Creation time.
    Added,
    /// Time of the last change.
    #[default]
    Modified,
    /// Name.
    Name,
}

/// Filter for a list of functions. All conditions apply; an empty one or `None` matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionQuery {
    /// Of this namespace.
    pub namespace: Namespace,
    /// The name contains this, ignoring case.
    pub name_contains: Option<String>,
    /// The description of `$LATEST` contains this, ignoring case.
    pub description_contains: Option<String>,
    /// `$LATEST` is in one of these states.
    pub statuses: Vec<Status>,
    /// The function is of one of these kinds.
    pub kinds: Vec<FunctionKind>,
    /// The function was created with this `async_run`.
    pub async_run: Option<bool>,
    /// The function was created with this `trace`.
    pub trace: Option<bool>,
    /// Order of the list.
    pub order_by: OrderBy,
    /// Largest first.
    pub descending: bool,
    /// Number of matches to skip.
    pub offset: u32,
    /// Maximum number of matches to return.
    pub limit: u32,
}

impl FunctionQuery {
    /// All functions of a namespace, the last changed first.
    pub fn all(namespace: Namespace) -> Self {
        Self {
            namespace,
            name_contains: None,
            description_contains: None,
            statuses: Vec::new(),
            kinds: Vec::new(),
            async_run: None,
            trace: None,
            order_by: OrderBy::default(),
            descending: true,
            offset: 0,
            limit: u32::MAX,
        }
    }
}

/// A page of a list of functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionPage {
    /// Number of all matches, including those outside this page.
    pub total: u64,
    /// The matches of this page.
    pub functions: Vec<ListedFunction>,
}

/// A version that waits for its image to be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The function.
    pub record: FunctionRecord,
    /// The version, `Creating` or `Updating`.
    pub version: VersionRecord,
}
