//! Custom domains: which function a path of a host name leads to.

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

/// A host name of the owner's and what its paths lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomDomain {
    /// The host name, in lower case; no wildcard.
    pub domain: String,
    /// Its protocols.
    pub protocol: DomainProtocol,
    /// Its paths; the most specific one that matches counts.
    pub endpoints: Vec<DomainEndpoint>,
    /// Name of the certificate in the gateway's settings; there when `protocol` takes TLS.
    pub certificate: Option<String>,
    /// API objects that are stored and answered as they came (`WafConfig`), by their API name.
    pub carried: serde_json::Map<String, serde_json::Value>,
    /// Labels, key and value.
    pub tags: Vec<(String, String)>,
    /// When it was made, Unix milliseconds.
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
    /// How paths are changed before the function sees them; the first that matches counts.
    pub rewrites: Vec<PathRewrite>,
}

/// One change of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathRewrite {
    /// Which paths: as in [`DomainEndpoint::path`].
    pub path: String,
    /// Whether a `*` stands for the rest of the path; otherwise the path must be equal.
    pub wildcard: bool,
    /// The new path; `$` stands for the text matched by `*`.
    pub rewrite: String,
}
