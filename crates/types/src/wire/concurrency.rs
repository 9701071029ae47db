//! Several requests in one instance, and the parameters of protocols beside plain HTTP.

use serde::{Deserialize, Serialize};

/// `InstanceConcurrencyConfig`: how many requests one instance of a web function serves at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InstanceConcurrencyConfig {
    /// `FALSE` for a fixed number, empty to switch it off.
    pub dynamic_enabled: Option<String>,
    /// Requests at once, 1 to 100.
    pub max_concurrency: Option<u64>,
    /// Switch of the isolation between sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_isolation_enabled: Option<String>,
    /// `Request-Based` or `Session-Based`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// Numbers for GPU nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mix_node_config: Option<Vec<MixNodeConfig>>,
    /// How a request names its session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_config: Option<SessionConfig>,
}

/// A number for a kind of GPU node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MixNodeConfig {
    /// Kind of node.
    pub node_spec: Option<String>,
    /// Requests at once.
    pub num: Option<u64>,
}

/// How a request names its session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SessionConfig {
    /// `HEADER`, `COOKIE` or `QUERY_STRING`.
    pub session_source: Option<String>,
    /// Name of the header, cookie or parameter.
    pub session_name: Option<String>,
    /// Sessions of one instance.
    pub maximum_concurrency_session_per_instance: Option<u64>,
    /// Longest life of a session, in seconds.
    #[serde(rename = "MaximumTTLInSeconds")]
    pub maximum_ttl_in_seconds: Option<u64>,
    /// Longest idle time of a session, in seconds.
    pub maximum_idle_time_in_seconds: Option<u64>,
    /// Path that a session belongs to.
    pub session_path: Option<String>,
    /// `FATAL` or `PAUSE`.
    pub idle_timeout_strategy: Option<String>,
}

/// `ProtocolParams`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ProtocolParams {
    /// Parameters of WebSocket connections.
    #[serde(rename = "WSParams")]
    pub ws_params: Option<WsParams>,
}

/// `WSParams`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WsParams {
    /// A connection that is silent for longer ends, in seconds.
    #[serde(rename = "IdleTimeOut")]
    pub idle_timeout_s: Option<u64>,
}
