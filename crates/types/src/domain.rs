//! Custom domains: routes from paths of a host name to functions.

use serde::{Deserialize, Serialize};

use crate::ids::{FunctionName, Namespace, Qualifier};

/// Protocols of a custom domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DomainProtocol {
    /// Plain HTTP only.
    #[serde(rename = "HTTP")]
    Http,
    /// TLS only.
    #[serde(rename = "HTTPS")]
    Https,
    /// Both.
    #[serde(rename = "HTTP&HTTPS")]
    Both,
}

/// A user's host name with the routes of its paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomDomain {
    /// The host name, in lower case; no wildcard.
    pub domain: String,
    /// Its protocols.
    pub protocol: DomainProtocol,
    /// Its routes; the most specific match wins.
    pub endpoints: Vec<DomainEndpoint>,
    /// Name of the certificate in the gateway's settings; required if `protocol` includes TLS.
    pub certificate: Option<String>,
    /// API objects that are stored and returned unchanged (`WafConfig`), by API name.
    pub carried: serde_json::Map<String, serde_json::Value>,
    /// Tags, key and value.
    pub tags: Vec<(String, String)>,
    /// When it was created, Unix milliseconds.
    pub added_ms: i64,
    /// When it was last changed, Unix milliseconds.
    pub modified_ms: i64,
}

/// Target of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainEndpoint {
    /// `/`, `/*`, `/a`, `/a/b` or `/a/*`.
    pub path: String,
    /// Namespace of the function.
    pub namespace: Namespace,
    /// Name of the function.
    pub function: FunctionName,
    /// Its version or alias.
    pub qualifier: Qualifier,
    /// Path rewrites before the function; the first match applies.
    pub rewrites: Vec<PathRewrite>,
}

/// A path rewrite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRewrite {
    /// Match pattern, as in [`DomainEndpoint::path`].
    pub path: String,
    /// Whether `*` matches the rest of the path; otherwise the path must be equal.
    pub wildcard: bool,
    /// The new path; `$` is replaced by the text that `*` matched.
    pub rewrite: String,
}
