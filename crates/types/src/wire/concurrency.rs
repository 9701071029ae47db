//! Request concurrency of an instance, and parameters of protocols beside plain HTTP.

use serde::{Deserialize, Serialize};

/// `InstanceConcurrencyConfig`: request concurrency of an instance of a web function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InstanceConcurrencyConfig {
    /// `FALSE` for a fixed number; empty disables concurrency.
    pub dynamic_enabled: Option<String>,
    /// Concurrent requests, 1 to 100.
    pub max_concurrency: Option<u64>,
    /// Isolation between sessions.
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
    /// Concurrent requests.
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
    /// Most sessions of one instance.
    pub maximum_concurrency_session_per_instance: Option<u64>,
    /// Longest lifetime of a session, in seconds.
    #[serde(rename = "MaximumTTLInSeconds")]
    pub maximum_ttl_in_seconds: Option<u64>,
    /// Longest idle time of a session, in seconds.
    pub maximum_idle_time_in_seconds: Option<u64>,
    /// Path of a session.
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
    /// Idle timeout of a connection, in seconds.
    #[serde(rename = "IdleTimeOut")]
    pub idle_timeout_s: Option<u64>,
}
