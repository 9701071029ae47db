//! Functions: configuration, versions, and the state of each version.

use serde::{Deserialize, Serialize};

use crate::concurrency::SessionSpec;
use crate::extras::Extras;
use crate::ids::{Digest, FunctionId, FunctionKey, VersionName};
use crate::limits;

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FunctionKind {
    /// Gets `POST /event-invoke` with the event as body, one event at a time per instance.
    Event,
    /// Gets the caller's HTTP request as it is.
    #[serde(rename = "HTTP")]
    Http,
}

impl FunctionKind {
    /// The word of the API: `Event` or `HTTP`.
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
    /// A change is being prepared; calls get the previous content.
    Updating,
    /// The last change failed; calls get the previous content.
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
    /// The word of the API.
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
    /// A word to match on, such as `PullImageFailed`.
    pub error_code: String,
    /// The failed operation, its subject and the remedy.
    pub error_message: String,
}

/// Which kind of registry an image comes from, hence which credentials reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageType {
    /// Any registry, with user and password or none.
    Personal,
    /// A TCR enterprise instance named by its registry id.
    Enterprise,
}

/// A program with arguments, or arguments alone, as their owner wrote them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandWords {
    /// A text that blanks separate; quotes mean nothing in it (`Command`, `Args`).
    Text(String),
    /// Words as they are, blanks and quotes included (`CommandList`, `ArgsList`).
    List(Vec<String>),
}

impl CommandWords {
    /// The words that a process gets.
    pub fn words(&self) -> Vec<String> {
        match self {
            Self::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
            Self::List(words) => words.clone(),
        }
    }
}

/// The image of a version, as its owner named it.
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
    /// Carried for the API; images are always prepared the fast way.
    pub accelerate: bool,
    /// Where the server listens; −1 marks a job image (no server).
    pub port: i32,
}

impl ImageSpec {
    /// Whether it is a job image: each event is an instance of its own, and nothing listens.
    pub fn is_job(&self) -> bool {
        self.port == limits::JOB_PORT
    }
}

/// How many requests one instance serves at once (web functions).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConcurrencySpec {
    /// Requests at once per instance, 1 to [`limits::MAX_CONCURRENCY_MAX`].
    pub max_concurrency: u32,
    /// Requests of one session go to one instance; `None` when any instance will do.
    #[serde(default)]
    pub session: Option<SessionSpec>,
    /// The API object as it was given, for answers.
    pub as_given: serde_json::Value,
}

/// All that its owner decides about one version; immutable once published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSpec {
    /// The image.
    pub image: ImageSpec,
    /// Memory limit of an instance, in MB; CPU share follows it.
    pub memory_mb: u32,
    /// Longest run of one invocation, in seconds.
    pub timeout_s: u32,
    /// Longest start of an instance, in seconds.
    pub init_timeout_s: u32,
    /// Free text.
    pub description: String,
    /// The user's environment variables, in the order given.
    pub environment: Vec<(String, String)>,
    /// Several requests per instance; `None` is one at a time.
    pub concurrency: Option<ConcurrencySpec>,
    /// API objects that are stored and answered as they came, by their API name (`VpcConfig`,
    /// `Role`, `PublicNetConfig`…); `PublicNetConfig` is acted on by whoever starts instances, and
    /// `OnSuccess`, `OnFailure` and `DeadLetterConfig` by the queue of events. Others are not, by
    /// instances.
    pub carried: serde_json::Map<String, serde_json::Value>,
    /// Settings beyond the reference's API.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

impl VersionSpec {
    /// Requests that one instance may serve at once.
    pub fn max_concurrency(&self, kind: FunctionKind) -> u32 {
        match (kind, &self.concurrency) {
            (FunctionKind::Http, Some(spec)) => spec.max_concurrency.clamp(1, limits::MAX_CONCURRENCY_MAX),
            _ => 1,
        }
    }

    /// How a request names its session, where the function has sessions.
    pub fn session(&self, kind: FunctionKind) -> Option<&SessionSpec> {
        let spec = self.concurrency.as_ref().filter(|_| kind == FunctionKind::Http)?;
        spec.session.as_ref()
    }
}

/// A function: what holds for all its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRecord {
    /// Platform id.
    pub id: FunctionId,
    /// Namespace and name.
    pub key: FunctionKey,
    /// Event or web.
    pub kind: FunctionKind,
    /// `Some("WS")` when the function takes WebSocket connections; fixed at creation.
    pub protocol: Option<String>,
    /// Every call answers with its id at once; fixed at creation.
    pub async_run: bool,
    /// Event states are kept for a while; fixed at creation.
    pub trace: bool,
    /// Labels, key and value.
    pub tags: Vec<(String, String)>,
    /// When it was made, Unix milliseconds.
    pub added_ms: i64,
    /// When it was last changed, Unix milliseconds.
    pub modified_ms: i64,
}

/// An image pinned to its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedImage {
    /// Digest of the index or manifest that the reference resolved to at the deploy.
    pub digest: Digest,
    /// Compressed bytes of all layers and the config.
    pub size_bytes: u64,
}

/// Serving state of a version; unchanged while a change is prepared and after one failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Number of the change that made it; instances of another generation are drained.
    pub generation: u64,
    /// Configuration.
    pub spec: VersionSpec,
    /// The image it was resolved to.
    pub image: PinnedImage,
}

/// One version of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The function it belongs to.
    pub function_id: FunctionId,
    /// `$LATEST` or a number.
    pub version: VersionName,
    /// State.
    pub status: Status,
    /// Why, when the state is a failed one.
    pub reasons: Vec<StatusReason>,
    /// Counts changes of this version from 1; a preparation that ends reports the generation it
    /// worked on, and is ignored when a newer change has come since.
    pub generation: u64,
    /// The state that its owner requested last.
    pub desired: VersionSpec,
    /// True when the last change names an image anew, so that its tag must be resolved again; false
    /// keeps the digest.
    pub resolve: bool,
    /// The serving state; `None` until the first preparation succeeded.
    pub serving: Option<Serving>,
    /// When it was made, Unix milliseconds.
    pub added_ms: i64,
    /// When it was last changed, Unix milliseconds.
    pub modified_ms: i64,
}
