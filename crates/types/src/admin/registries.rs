//! Requests to the registries' administrative endpoint, and its answers.

use serde::{Deserialize, Serialize};

use crate::Secret;

/// Where the endpoint is.
pub const PATH: &str = "/admin/registries";

/// The action that requests to it are signed for.
pub const ACTION: &str = "AdministerRegistries";

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Sets what is known of a registry.
    Add(Addition),
    /// Lists the registries.
    List {},
    /// Forgets what was added for a host.
    Remove {
        /// `host[:port]`.
        host: String,
    },
    /// Asks a registry as a pull would.
    Test {
        /// An image, or `host[:port]` of a registry.
        target: String,
        /// Names an enterprise registry, `tcr-…`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registry_id: Option<String>,
    },
}

/// What is set; the rest of what is known of the host stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    /// `host[:port]`, as image references name it.
    pub host: String,
    /// Replaces the mirrors, unless it is empty: `https://host[:port][/prefix]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// PEM of certificate authorities that are trusted beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// Whether it is spoken to in plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain_http: Option<bool>,
    /// How to log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<NewLogin>,
}

impl Addition {
    /// One that sets nothing.
    pub fn of(host: &str) -> Self {
        Self { host: host.to_owned(), mirrors: Vec::new(), ca_pem: None, plain_http: None, login: None }
    }
}

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NewLogin {
    /// With user and password.
    Password {
        /// User.
        username: String,
        /// Password.
        password: Secret,
    },
    /// With temporary credentials of an enterprise registry.
    Tcr {
        /// `tcr-…`.
        registry_id: String,
        /// Public half of the key pair that asks for them.
        secret_id: String,
        /// Secret half.
        secret_key: Secret,
        /// `None` for the configured one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        /// Where they are asked for; `None` for the configured endpoint.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
    },
}

/// The endpoint's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was done.
    Done(Reply),
    /// It was not, and nothing has changed.
    Refused(Refused),
}

/// What was found, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A change is in force.
    Changed {},
    /// The registries, by host.
    Registries(Vec<Listed>),
    /// What places said.
    Tested(Tested),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// What is wrong and what to do.
    pub message: String,
}

/// One registry, without any secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// `host[:port]`.
    pub host: String,
    /// The login that was added.
    pub login: Option<ListedLogin>,
    /// Mirrors in force.
    pub mirrors: Vec<String>,
    /// Whether it has certificate authorities of its own.
    pub ca: bool,
    /// Whether plain HTTP was asked for or ruled out.
    pub plain_http: Option<bool>,
    /// Whether the configuration file says something of it.
    pub configured: bool,
    /// Whether something was added.
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
        /// Public half of the key pair.
        secret_id: String,
    },
}

/// What places said that a pull would ask, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// Whether a pull would get on.
    pub ok: bool,
    /// The image as it was understood, or the registry.
    pub target: String,
    /// Mirrors, and the registry itself last.
    pub places: Vec<TestedPlace>,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestedPlace {
    /// Scheme and host.
    pub endpoint: String,
    /// Whether it is a mirror.
    pub mirror: bool,
    /// Who gave the credentials that were shown; `None` when there were none.
    pub provider: Option<String>,
    /// Digest of the image's manifest.
    pub digest: Option<String>,
    /// Code of the failure, such as `ImageAccessDenied`.
    pub code: Option<String>,
    /// What failed and what to do.
    pub error: Option<String>,
}
