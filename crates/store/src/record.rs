//! Arguments and results of the store that are not records of `types`.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{
    AliasRecord, EventInvokeConfig, FunctionKey, FunctionKind, FunctionRecord, Namespace, ProvisionedSpec, Route,
    Status, Trigger, VersionName, VersionRecord, VersionSpec,
};

/// A namespace with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRecord {
    /// Its name.
    pub name: Namespace,
    /// Free text.
    pub description: String,
    /// When it was made, Unix milliseconds.
    pub added_ms: i64,
    /// When its description was last changed, Unix milliseconds.
    pub modified_ms: i64,
}

/// A function to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFunction {
    /// Namespace, which must exist, and name, which must be free.
    pub key: FunctionKey,
    /// Event or web.
    pub kind: FunctionKind,
    /// `Some("WS")` for WebSocket connections.
    pub protocol: Option<String>,
    /// Every call answers with its id at once.
    pub async_run: bool,
    /// Event states are kept for a while.
    pub trace: bool,
    /// Labels, key and value.
    pub tags: Vec<(String, String)>,
    /// Configuration of `$LATEST`.
    pub spec: VersionSpec,
}

/// A change of `$LATEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The configuration that it shall have.
    pub spec: VersionSpec,
    /// The image is named anew: resolve its tag again. False keeps the digest that is pinned.
    pub resolve: bool,
    /// Publish it as a version as soon as it is active.
    pub publish: bool,
}

/// A version to be published of what `$LATEST` serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publication {
    /// Free text; `None` for the function's.
    pub description: Option<String>,
    /// Its number, above all that were published; `None` for the next one. Numbers that are left
    /// out are never used.
    pub number: Option<u32>,
    /// Publish only while [`FunctionWithVersions::revision`] is this.
    pub revision: Option<String>,
}

/// An alias to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlias {
    /// The function.
    pub key: FunctionKey,
    /// Its name, which must be free.
    pub name: String,
    /// Where it leads; the versions must exist.
    pub route: Route,
    /// Free text.
    pub description: String,
}

/// A change of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasChange {
    /// Where it shall lead; the versions must exist.
    pub route: Route,
    /// Free text; `None` leaves it as it is.
    pub description: Option<String>,
}

/// A function with all its versions and aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionWithVersions {
    /// Settings shared by all versions.
    pub record: FunctionRecord,
    /// `$LATEST` first, then the published ones by number.
    pub versions: Vec<VersionRecord>,
    /// The aliases by name; `$DEFAULT` is always there.
    pub aliases: BTreeMap<Arc<str>, AliasRecord>,
    /// Memory that belongs to it alone and is all it gets, in MB: its quota.
    pub reserved_mb: Option<u64>,
    /// Instances of its published versions that are kept ready.
    pub provisioned: BTreeMap<VersionName, Arc<ProvisionedSpec>>,
    /// How its asynchronous events are retried and given up.
    pub event_invoke: EventInvokeConfig,
    /// Its triggers, in order of kind, name and qualifier.
    pub triggers: Vec<Arc<Trigger>>,
}

impl FunctionWithVersions {
    /// `$LATEST`.
    pub fn latest(&self) -> &VersionRecord {
        self.versions.first().expect("a function is read only together with its $LATEST")
    }

    /// Names this state of `$LATEST` and of the published versions: each change and each
    /// publication gives another.
    pub fn revision(&self) -> String {
        let newest = self.versions.iter().filter_map(|version| match version.version {
            VersionName::Number(number) => Some(number),
            VersionName::Latest => None,
        });
        let generation = self.latest().generation;
        format!("{}.{generation}.{}", self.record.id, newest.max().unwrap_or_default())
    }

    /// The version of that name, if the function has it.
    pub fn version(&self, name: VersionName) -> Option<&VersionRecord> {
        self.versions.iter().find(|version| version.version == name)
    }
}

/// A line of a list of functions.
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
    /// When they were made.
    Added,
    /// When they were last changed.
    #[default]
    Modified,
    /// Their names.
    Name,
}

/// Which functions to list. Conditions hold together; one that is empty or `None` lets everything
/// pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionQuery {
    /// Of this namespace.
    pub namespace: Namespace,
    /// The name contains this, in any case of letters.
    pub name_contains: Option<String>,
    /// The description of `$LATEST` contains this, in any case of letters.
    pub description_contains: Option<String>,
    /// `$LATEST` is in one of these states.
    pub statuses: Vec<Status>,
    /// The function is of one of these kinds.
    pub kinds: Vec<FunctionKind>,
    /// The function was made with this `async_run`.
    pub async_run: Option<bool>,
    /// The function was made with this `trace`.
    pub trace: Option<bool>,
    /// Order of the list.
    pub order_by: OrderBy,
    /// Largest first.
    pub descending: bool,
    /// Matches to leave out at the beginning.
    pub offset: u32,
    /// Matches to return at most.
    pub limit: u32,
}

impl FunctionQuery {
    /// All functions of a namespace, the one changed last first.
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

/// A part of a list of functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionPage {
    /// All matches, those outside this page included.
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
