//! Messages of the administrative endpoint for secrets. Responses never contain a value. Pure.

use serde::{Deserialize, Serialize};

use crate::{Namespace, Secret, SecretName};

/// Path of the endpoint.
pub const PATH: &str = "/admin/secrets";
/// The action that its requests sign.
pub const ACTION: &str = "AdministerSecrets";

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Sets a value: the first version of a new secret, or the next version.
    Set {
        /// Namespace of the secret.
        namespace: Namespace,
        /// Name of the secret.
        name: SecretName,
        /// The value in Base64.
        value: Secret,
    },
    /// Lists secrets.
    List {
        /// Only of this namespace; `None` for all.
        namespace: Option<Namespace>,
    },
    /// Lists the versions of a secret.
    Versions {
        /// Namespace of the secret.
        namespace: Namespace,
        /// Name of the secret.
        name: SecretName,
    },
    /// Deletes a secret that no function uses, or one of its versions.
    Delete {
        /// Namespace of the secret.
        namespace: Namespace,
        /// Name of the secret.
        name: SecretName,
        /// The version; `None` for all.
        version: Option<u32>,
    },
    /// Reads the audit log.
    Audit {
        /// Only of this namespace; `None` for all.
        namespace: Option<Namespace>,
        /// Only of secrets with this name.
        name: Option<SecretName>,
        /// Maximum number of entries; the newest are returned.
        limit: usize,
    },
}

/// An operation on a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    /// A value was set.
    Set,
    /// A secret or one of its versions was deleted.
    Delete,
    /// A value was read for an instance.
    Read,
    /// Reads were dropped because the queue was full.
    Lost,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Unix milliseconds.
    pub time_ms: i64,
    /// The operation.
    pub action: AuditAction,
    /// Namespace of the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Name of the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<SecretName>,
    /// Version of the secret; absent if a deletion removed all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Id of the key pair that requested a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The reading function, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The function's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_version: Option<String>,
    /// The instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Number of dropped reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl AuditEntry {
    /// An entry without a secret and with time 0.
    pub fn new(action: AuditAction) -> Self {
        Self {
            time_ms: 0,
            action,
            namespace: None,
            name: None,
            version: None,
            by: None,
            function: None,
            function_version: None,
            instance: None,
            count: None,
        }
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Response to `Set`.
    Set {
        /// The new version.
        version: u32,
        /// Versions of functions that follow the newest version and whose instances are replaced.
        restarted: usize,
    },
    /// Response to `List`.
    Secrets(Vec<Listed>),
    /// Response to `Versions`.
    Versions(Vec<ListedVersion>),
    /// Response to `Delete`.
    Deleted {},
    /// Response to `Audit`, oldest first.
    Audit(Vec<AuditEntry>),
    /// A failed request.
    Refused {
        /// HTTP status.
        status: u16,
        /// The reason.
        message: String,
    },
}

/// A secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: SecretName,
    /// Number of its newest version.
    pub newest: u32,
    /// Number of its versions.
    pub versions: usize,
    /// When the newest version was set, Unix milliseconds.
    pub set_ms: i64,
    /// Functions with a version that uses it, as `namespace/name`.
    pub used_by: Vec<String>,
}

/// A version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedVersion {
    /// Its number.
    pub version: u32,
    /// Length of its value, in bytes.
    pub bytes: u64,
    /// When it was set, Unix milliseconds.
    pub set_ms: i64,
    /// Versions of functions that use it, as `namespace/name:version`.
    pub used_by: Vec<String>,
}
