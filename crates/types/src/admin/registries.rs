//! Messages of the administrative endpoint for registries.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// Path of the endpoint.
pub const PATH: &str = "/admin/registries";

/// The action that its requests sign.
pub const ACTION: &str = "AdministerRegistries";

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Adds settings of a registry.
    Add(Addition),
    /// Lists the registries.
    List {},
    /// Removes the added settings of a host.
    Remove {
        /// `host[:port]`.
        host: String,
    },
    /// Requests a registry as a pull would.
    Test {
        /// An image, or `host[:port]` of a registry.
        target: String,
        /// Id of an enterprise registry, `tcr-…`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registry_id: Option<String>,
    },
}

/// Settings to add; other settings of the host are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    /// `host[:port]`, as in image references.
    pub host: String,
    /// Replaces the mirrors unless empty: `https://host[:port][/prefix]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// PEM of certificate authorities trusted beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// Whether to use plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain_http: Option<bool>,
    /// The login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<NewLogin>,
}

impl Addition {
    /// An addition without settings.
    pub fn of(host: &str) -> Self {
        Self { host: host.to_owned(), mirrors: Vec::new(), ca_pem: None, plain_http: None, login: None }
    }
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NewLogin {
    /// User and password.
    Password {
        /// User.
        username: String,
        /// Password.
        password: Secret,
    },
    /// Temporary credentials of an enterprise registry.
    Tcr {
        /// `tcr-…`.
        registry_id: String,
        /// Secret id of the key pair that requests them.
        secret_id: String,
        /// Secret key.
        secret_key: Secret,
        /// `None` for the configured default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        /// Endpoint that issues them; `None` for the configured default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Success.
    Done(Reply),
    /// Failure, with nothing changed.
    Refused(Refused),
}

/// Result of a successful request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The change is effective.
    Changed {},
    /// The registries, by host.
    Registries(Vec<Listed>),
    /// Result of a test.
    Tested(Tested),
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// The error and its remedy.
    pub message: String,
}

/// A registry, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// `host[:port]`.
    pub host: String,
    /// The added login.
    pub login: Option<ListedLogin>,
    /// Effective mirrors.
    pub mirrors: Vec<String>,
    /// Whether it has its own certificate authorities.
    pub ca: bool,
    /// Explicit setting for plain HTTP.
    pub plain_http: Option<bool>,
    /// Whether the configuration file has settings of it.
    pub configured: bool,
    /// Whether settings were added.
    pub added: bool,
}

/// A login, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListedLogin {
    /// User and password.
    Password {
        /// User.
        username: String,
    },
    /// Key pair of an enterprise registry.
    Tcr {
        /// `tcr-…`.
        registry_id: String,
        /// Secret id of the key pair.
        secret_id: String,
    },
}

/// Results for the endpoints that a pull would try, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// Whether a pull would succeed.
    pub ok: bool,
    /// The parsed image, or the registry.
    pub target: String,
    /// Mirrors, then the registry itself.
    pub places: Vec<TestedPlace>,
}

/// A tested place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestedPlace {
    /// Scheme and host.
    pub endpoint: String,
    /// Whether it is a mirror.
    pub mirror: bool,
    /// Provider of the credentials that were sent; `None` without any.
    pub provider: Option<String>,
    /// Digest of the image's manifest.
    pub digest: Option<String>,
    /// Error code, such as `ImageAccessDenied`.
    pub code: Option<String>,
    /// The error and its remedy.
    pub error: Option<String>,
}
