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
    /// Name of the project: lower-case letters, digits and '-'. Resources that the project creates
    /// are tagged with it, and --prune and delete remove only these
    #[cfg_attr(test, schemars(extend("pattern" = r"^[a-z0-9-]{1,40}$|\$\{")))]
    pub project: String,
    /// Functions by name; functions outside the namespace `default` are named NAMESPACE/NAME
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
    /// Receives HTTP requests unchanged
    Web,
    /// Receives events
    Event,
}

/// A function; omitted keys have their defaults
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(transform = rules::function))]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Type of the function [default: web, or event for a job]; cannot be changed later
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Image reference; without a registry host it names an image in Sampan's own registry
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
    /// Whether the image is a job without a server: each event runs its program once [default:
    /// false]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<bool>,
    /// Memory: 64, or a multiple of 128, in MB, or with a unit such as 8g; at most [launcher]
    /// memory_mb_max of the settings [default: 128]
    #[serde(default, deserialize_with = "sizes::megabytes", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<sizes::Size>"))]
    pub memory: Option<u32>,
    /// Processor time in cores, such as 2 or 0.5 [default: derived from the memory]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cores>,
    /// Size of /dev/shm, in MB or with a unit, which counts towards the memory [default: 64]
    #[serde(default, deserialize_with = "sizes::megabytes", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<sizes::Size>"))]
    pub shm: Option<u32>,
    /// Size of a /tmp on disk, in MB or with a unit, which does not count towards the memory
    /// [default: a /tmp in memory]
    #[serde(default, deserialize_with = "sizes::megabytes", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<sizes::Size>"))]
    pub tmp: Option<u32>,
    /// Open files per process [default: 1024]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nofile: Option<u32>,
    /// Processes and threads per instance [default: 1024]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// Volumes to mount in each instance: NAME[/sub]:/path, with options such as ro, uid=N and
    /// gid=N after a second colon
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
    /// Files of environment variables in Docker Compose's format, with paths relative to this file;
    /// later files override earlier ones, and `environment` overrides all
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_file: Option<Entries>,
    /// Environment variables from secrets: NAME, or NAME@VERSION for a pinned version; they
    /// override `environment`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<BTreeMap<String, rules::SecretText>>"))]
    pub secrets: Option<BTreeMap<String, SecretRef>>,
    /// Secrets as files: paths below /run/secrets, each with NAME or NAME@VERSION
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<BTreeMap<String, rules::SecretText>>"))]
    pub secret_files: Option<BTreeMap<String, SecretRef>>,
    /// Concurrent requests per instance of a web function [default: 1, or 100 with `session`]
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
    /// Whether instances can reach networks outside the platform [default: true]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_network: Option<bool>,
    /// Allowed egress destinations: addresses, ranges and names with optional ports, such as
    /// db.example.com:5432; `none` allows nothing [default: any destination that the operator does
    /// not deny]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("not" = rules::empty())))]
    pub egress: Option<Entries>,
    /// Loopback ports of the machine that instances reach at host.sampan.internal; must be listed
    /// in [network] host_ports of the settings
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_ports: Option<Vec<u16>>,
    /// Free text
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Destination for records of successful asynchronous events: fn:FUNCTION, or http:NAME for
    /// [connections.NAME] of the settings
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<String>,
    /// Destination for records of events that become dead letters, in the form of `on_success`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// Whether runs are asynchronous: a call returns its id at once, and its run may take up to 24
    /// hours [default: false]; cannot be changed later
    #[serde(skip_serializing_if = "Option::is_none")]
    pub async_run: Option<bool>,
    /// With async_run: run an event again if the platform stopped during its run [default: false];
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
    /// Check that an instance starts with a new image or settings before calls use them [default:
    /// true]; cannot be changed later
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_check: Option<bool>,
    /// Labels of the function; cannot be changed later
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(extend("propertyNames" = { "not": { "pattern": "^sampan:" } })))]
    pub tags: Option<BTreeMap<String, String>>,
    /// Retries and lifetime of asynchronous events
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Events>,
    /// Memory in MB to reserve for the function, which is also its upper limit; 0 disables the
    /// function
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<u64>,
    /// Publish a version whenever the newest one differs from this declaration [default: false]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// Provisioned concurrency of the version, or of the newest version of a function with
    /// `publish`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<release::ProvisionedKeys>"))]
    pub provisioned: Option<Provisioned>,
    /// Published versions by their numbers; existing versions cannot be changed
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
    /// Part of the request that contains the value
    pub source: SessionSource,
    /// Name of the header, cookie or parameter
    pub name: String,
    /// Sessions per instance [default: 1]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_instance: Option<u64>,
    /// Maximum lifetime of a session, in seconds [default: 21600]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Maximum idle time of a session, in seconds [default: 1800]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<u64>,
    /// Action after the maximum idle time of a session [default: end]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_idle: Option<WhenIdle>,
}

/// Part of a request that contains the value of its session
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SessionSource {
    Header,
    Cookie,
    Query,
}

/// Action after the maximum idle time of a session
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WhenIdle {
    /// The session ends
    End,
    /// The session pauses
    Pause,
}

/// Retries and lifetime of asynchronous events
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Retries after a run that failed in the function: 0 to 2 [default: 2]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Maximum age of a waiting event, in seconds: 60 to 21600 [default: 21600]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
}
