//! Functions: configuration, versions, and the state of each version.

use serde::{Deserialize, Serialize};

use crate::concurrency::SessionSpec;
use crate::extras::Extras;
use crate::ids::{Digest, FunctionId, FunctionKey, VersionName};
use crate::limits;

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FunctionKind {
    /// Receives `POST /event-invoke` with the event as body, one event at a time per instance.
    Event,
    /// Receives the caller's HTTP request unchanged.
    #[serde(rename = "HTTP")]
    Http,
}

impl FunctionKind {
    /// The API's name: `Event` or `HTTP`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "Event",
            Self::Http => "HTTP",
        }
    }
}

/// State of a version (contract 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// Its first image is being prepared; not callable yet.
    Creating,
    /// The first preparation failed; not callable, can be deleted or updated.
    CreateFailed,
    /// Callable.
    Active,
    /// A change is being prepared; calls use the previous state.
    Updating,
    /// The last change failed; calls use the previous state.
    UpdateFailed,
    /// Being published.
    Publishing,
    /// Publishing failed.
    PublishFailed,
    /// Being removed; not callable.
    Deleting,
    /// Removing failed.
    DeleteFailed,
}

impl Status {
    /// The API's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::CreateFailed => "CreateFailed",
            Self::Active => "Active",
            Self::Updating => "Updating",
            Self::UpdateFailed => "UpdateFailed",
            Self::Publishing => "Publishing",
            Self::PublishFailed => "PublishFailed",
            Self::Deleting => "Deleting",
            Self::DeleteFailed => "DeleteFailed",
        }
    }
}

/// Why a version is in a failed state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StatusReason {
    /// Error code, such as `PullImageFailed`.
    pub error_code: String,
    /// The failed operation, its subject and the remedy.
    pub error_message: String,
}

/// Kind of registry of an image, which selects the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageType {
    /// Any registry, with user and password or none.
    Personal,
    /// A TCR enterprise instance named by its registry id.
    Enterprise,
}

/// A program with arguments, or arguments alone, in their owner's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandWords {
    /// A text separated by blanks; quotes are not interpreted (`Command`, `Args`).
    Text(String),
    /// Separate words; blanks and quotes are preserved (`CommandList`, `ArgsList`).
    List(Vec<String>),
}

impl CommandWords {
    /// The words as arguments of a process.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
            Self::List(words) => words.clone(),
        }
    }
}

/// Image settings of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSpec {
    /// Kind of registry.
    pub image_type: ImageType,
    /// Reference as given: `{domain}/{namespace}/{image}:{tag}@{digest}`.
    pub uri: String,
    /// `tcr-…` of an enterprise registry.
    pub registry_id: Option<String>,
    /// Replaces the image's entry point when not empty.
    pub command: Option<CommandWords>,
    /// Replaces the image's CMD when not empty.
    pub args: Option<CommandWords>,
    /// Stored for the API; images are always prepared for fast starts.
    pub accelerate: bool,
    /// Port of the server; −1 marks a job image (no server).
    pub port: i32,
}

impl ImageSpec {
    /// Whether it is a job image: each event has its own instance, and no server listens.
    pub fn is_job(&self) -> bool {
        self.port == limits::JOB_PORT
    }
}

/// Request concurrency of an instance (web functions).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcurrencySpec {
    /// Concurrent requests per instance, 1 to [`limits::MAX_CONCURRENCY_MAX`].
    pub max_concurrency: u32,
    /// Session affinity; `None` if any instance can serve any request.
    #[serde(default)]
    pub session: Option<SessionSpec>,
    /// The API object unchanged, for answers.
    pub as_given: serde_json::Value,
}

/// The owner's configuration of a version; immutable once published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSpec {
    /// The image.
    pub image: ImageSpec,
    /// Memory limit of an instance, in MB; the CPU share is proportional.
    pub memory_mb: u32,
    /// Timeout of an invocation, in seconds.
    pub timeout_s: u32,
    /// Timeout of an instance's start, in seconds.
    pub init_timeout_s: u32,
    /// Free text.
    pub description: String,
    /// The user's environment variables, in the order given.
    pub environment: Vec<(String, String)>,
    /// Request concurrency per instance; `None` means 1.
    pub concurrency: Option<ConcurrencySpec>,
    /// API objects that are stored and returned unchanged, by API name (`VpcConfig`, `Role`,
    /// `PublicNetConfig`…). `PublicNetConfig` is applied when instances start; `OnSuccess`,
    /// `OnFailure` and `DeadLetterConfig` are applied by the event queue. Others do not affect
    /// instances.
    pub carried: serde_json::Map<String, serde_json::Value>,
    /// Settings beyond the reference's API.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

impl VersionSpec {
    /// Maximum concurrent requests of an instance.
    pub fn max_concurrency(&self, kind: FunctionKind) -> u32 {
        match (kind, &self.concurrency) {
            (FunctionKind::Http, Some(spec)) => spec.max_concurrency.clamp(1, limits::MAX_CONCURRENCY_MAX),
            _ => 1,
        }
    }

    /// Session affinity, if the function has it.
    pub fn session(&self, kind: FunctionKind) -> Option<&SessionSpec> {
        let spec = self.concurrency.as_ref().filter(|_| kind == FunctionKind::Http)?;
        spec.session.as_ref()
    }
}

/// A function: properties common to all its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// Platform id.
    pub id: FunctionId,
    /// Namespace and name.
    pub key: FunctionKey,
    /// Event or web.
    pub kind: FunctionKind,
    /// `Some("WS")` if the function accepts WebSocket connections; fixed at creation.
    pub protocol: Option<String>,
    /// Whether every call returns only its id; fixed at creation.
    pub async_run: bool,
    /// Whether event states are retained for a time; fixed at creation.
    pub trace: bool,
    /// Tags, key and value.
    pub tags: Vec<(String, String)>,
    /// When it was created, Unix milliseconds.
    pub added_ms: i64,
    /// When it was last changed, Unix milliseconds.
    pub modified_ms: i64,
}

/// An image with its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedImage {
    /// Digest of the index or manifest that the reference resolved to at the deployment.
    pub digest: Digest,
    /// Compressed bytes of all layers and the config.
    pub size_bytes: u64,
}

/// Serving state of a version; unchanged while a change is prepared and after a failed one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Number of the change that created it; instances of other generations are drained.
    pub generation: u64,
    /// Configuration.
    pub spec: VersionSpec,
    /// The resolved image.
    pub image: PinnedImage,
}

/// One version of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// Its function.
    pub function_id: FunctionId,
    /// `$LATEST` or a number.
    pub version: VersionName,
    /// State.
    pub status: Status,
    /// Reasons of a failed state.
    pub reasons: Vec<StatusReason>,
    /// Number of changes of this version, from 1. A preparation reports its generation when it
    /// ends; the result is ignored if a newer change exists.
    pub generation: u64,
    /// The state that its owner requested last.
    pub desired: VersionSpec,
    /// Whether the last change set an image, so that its tag must be resolved again; false keeps
    /// the digest.
    pub resolve: bool,
    /// The serving state; `None` until the first preparation succeeded.
    pub serving: Option<Serving>,
    /// When it was created, Unix milliseconds.
    pub added_ms: i64,
    /// When it was last changed, Unix milliseconds.
    pub modified_ms: i64,
}
