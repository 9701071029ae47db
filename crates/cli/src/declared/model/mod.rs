//! Model of `sampan.yaml`. Doc comments of fields are the schema's descriptions, which editors
//! show; `docs/sampan.schema.json` is generated from them.

mod arguments;
mod check;
mod defaults;
mod entry;
mod name;
mod reach;
mod release;
#[cfg(test)]
mod rules;
mod sizes;
mod triggers;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::SecretRef;

pub use self::arguments::Words;
pub use self::check::refuse_two_names;
pub use self::entry::{DEFAULT_QUALIFIER, Domain, LATEST, Protocol, Trigger, TriggerKey, short};
pub use self::name::{DEFAULT as DEFAULT_NAMESPACE, FunctionName};
pub use self::reach::{Entries, Mount, NO_DESTINATIONS};
pub use self::release::{Alias, At, NEWEST, Provisioned, Rewrite, Route, Rule, Version, VersionNumber};
pub use self::sizes::Cores;

/// Everything that one project declares for an installation of Sampan
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Name of the project: lower-case letters, digits and '-'. What the project creates is tagged
    /// with it, so that --prune and delete find that and nothing else
    #[cfg_attr(test, schemars(extend("pattern" = r"^[a-z0-9-]{1,40}$|\$\{")))]
    pub project: String,
    /// Functions by name; one in another namespace than `default` is named NAMESPACE/NAME
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<FunctionName, Function>,
    /// Custom domains by their host names
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub domains: BTreeMap<String, Domain>,
}

/// Type of a function
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Called with HTTP requests, which are passed unchanged
    Web,
    /// Called with events
    Event,
}

/// A function; keys that are left out have their defaults
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(transform = rules::function))]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Type of the function [default: web, or event for a job]; cannot be changed later
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Image; without a registry's host one in Sampan's own registry
    pub image: String,
    /// Registry id (tcr-…) of an enterprise registry
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_id: Option<String>,
    /// Replaces the image's entry point: a list of words, or a text quoted as in a shell
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Words>,
    /// Replaces the image's CMD, in the form of command
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Words>,
    /// Port of the image's server, also in the variable PORT [default: 9000]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The image is a job without a server: each event is one run of its program [default: false]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<bool>,
    /// Memory: 64, or a multiple of 128, in MB, or with a unit such as 8g; at most [launcher]
    /// memory_mb_max of the settings [default: 128]
    #[serde(default, deserialize_with = "sizes::megabytes", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<sizes::Size>"))]
    pub memory: Option<u32>,
    /// Processor time in cores, such as 2 or 0.5 [default: by the memory]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cores>,
    /// Size of /dev/shm, in MB or with a unit, as a part of the memory [default: 64]
    #[serde(default, deserialize_with = "sizes::megabytes", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<sizes::Size>"))]
    pub shm: Option<u32>,
    /// Size of a /tmp on disk, in MB or with a unit, apart from the memory [default: in memory]
    #[serde(default, deserialize_with = "sizes::megabytes", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<sizes::Size>"))]
    pub tmp: Option<u32>,
    /// Open files of each process [default: 1024]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nofile: Option<u32>,
    /// Processes and threads of an instance [default: 1024]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// Volumes in each instance: NAME[/sub]:/path, with :ro, :uid=N, :gid=N after it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    /// Timeout of an invocation, in seconds [default: 3]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
    /// Timeout of an instance's start, in seconds [default: 90]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_timeout: Option<u32>,
    /// Environment variables
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, String>>,
    /// Files of environment variables as Docker Compose reads them, by their paths from this file;
    /// later ones win, and environment wins over all
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_file: Option<Entries>,
    /// Environment variables with secrets: NAME, or NAME@VERSION for a pinned one; they win over
    /// environment
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<BTreeMap<String, rules::SecretText>>"))]
    pub secrets: Option<BTreeMap<String, SecretRef>>,
    /// Secrets as files: their paths below /run/secrets, and NAME or NAME@VERSION
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<BTreeMap<String, rules::SecretText>>"))]
    pub secret_files: Option<BTreeMap<String, SecretRef>>,
    /// Concurrent requests of one instance of a web function [default: 1, with a session 100]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Session affinity of a web function
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// Accept WebSocket connections [default: false]; cannot be changed later
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket: Option<bool>,
    /// Idle timeout of a WebSocket connection, in seconds: 1 to 1800 [default: the gateway's, 15]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket_idle: Option<u64>,
    /// Whether instances reach the network outside [default: true]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_network: Option<bool>,
    /// All that instances reach: addresses, ranges and names with optional ports, such as
    /// db.example.com:5432; none for nothing [default: any, which the operator does not deny]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("not" = rules::empty())))]
    pub egress: Option<Entries>,
    /// Ports of the machine's loopback that instances reach as host.sampan.internal, among those of
    /// [network] host_ports of the settings
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_ports: Option<Vec<u16>>,
    /// Free text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where records of asynchronous events that end well go: fn:FUNCTION, or http:NAME for
    /// [connections.NAME] of the settings
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<String>,
    /// The same for events that become dead letters
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// Each call answers with its id at once, and its run may take up to 24 hours [default: false];
    /// cannot be changed later
    #[serde(skip_serializing_if = "Option::is_none")]
    pub async_run: Option<bool>,
    /// With async_run: run an event again when the platform ended during its run [default: false];
    /// cannot be changed later
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun: Option<bool>,
    /// Runtime of the instances, such as runc [default: the installation's]; cannot be changed
    /// later
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Time between stop signal and kill, in seconds: 0 to 30 [default: 2]; cannot be changed
    /// later
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_grace: Option<u32>,
    /// Run an init as first process [default: false]; cannot be changed later
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Start an instance of a new image or settings before calls get it [default: true]; cannot be
    /// changed later
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_check: Option<bool>,
    /// Labels of the function; cannot be changed later
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("propertyNames" = { "not": { "pattern": "^sampan:" } })))]
    pub tags: Option<BTreeMap<String, String>>,
    /// Retries and lifetime of asynchronous events
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Events>,
    /// Memory in MB that is reserved for the function, as its upper limit too; 0 disables it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<u64>,
    /// Publish a version whenever the newest one is not as declared here [default: false]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// Instances of the version that are kept ready; of a function with publish, of the newest one
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<release::ProvisionedKeys>"))]
    pub provisioned: Option<Provisioned>,
    /// Published versions by their numbers; one that is there cannot be changed
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<BTreeMap<VersionNumber, Version>>,
    /// Aliases by their names
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aliases: Option<BTreeMap<String, Alias>>,
    /// Triggers by their names
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggers: Option<BTreeMap<String, Trigger>>,
}

/// Session affinity: requests with the same value go to the same instance
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Where a request has the value
    pub source: SessionSource,
    /// Name of the header, cookie or parameter
    pub name: String,
    /// Sessions per instance [default: 1]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_instance: Option<u64>,
    /// Longest life of a session, in seconds [default: 21600]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Longest idle time of a session, in seconds [default: 1800]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<u64>,
    /// What becomes of an idle session [default: end]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_idle: Option<WhenIdle>,
}

/// Where a request has the value of its session
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SessionSource {
    Header,
    Cookie,
    Query,
}

/// What becomes of an idle session
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WhenIdle {
    /// It ends
    End,
    /// It pauses
    Pause,
}

/// Retries and lifetime of asynchronous events
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Runs that follow one that failed in the function: 0 to 2 [default: 2]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Seconds after which a waiting event is given up: 60 to 21600 [default: 21600]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
}
