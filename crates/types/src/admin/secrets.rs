//! Messages of the administrative endpoint for secrets. No answer has a value. Pure.

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
    /// Gives a secret a value: its next version, or the first of a new one.
    Set {
        /// Its namespace.
        namespace: Namespace,
        /// Its name.
        name: SecretName,
        /// Base64 of its value.
        value: Secret,
    },
    /// Lists secrets.
    List {
        /// Of one namespace; of all where there is none.
        namespace: Option<Namespace>,
    },
    /// Lists the versions of one.
    Versions {
        /// Its namespace.
        namespace: Namespace,
        /// Its name.
        name: SecretName,
    },
    /// Deletes one that no function has, or one version of it.
    Delete {
        /// Its namespace.
        namespace: Namespace,
        /// Its name.
        name: SecretName,
        /// The version; all of them where there is none.
        version: Option<u32>,
    },
    /// Reads the audit log.
    Audit {
        /// About secrets of one namespace; of all where there is none.
        namespace: Option<Namespace>,
        /// About secrets of one name.
        name: Option<SecretName>,
        /// The newest lines, at most.
        limit: usize,
    },
}

/// An operation on a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    /// It got a value.
    Set,
    /// It, or a version of it, was deleted.
    Delete,
    /// An instance got its value.
    Read,
    /// Reads that were too many to be noted one by one.
    Lost,
}

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, Unix milliseconds.
    pub time_ms: i64,
    /// What.
    pub action: AuditAction,
    /// Namespace of the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// Name of the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<SecretName>,
    /// Its version; all versions where a deletion has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Id of the key pair that asked for a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The function that read it, as `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The function's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function_version: Option<String>,
    /// The instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// How many reads were not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl AuditEntry {
    /// One of no secret and no time.
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
        /// Versions of functions whose instances are replaced because they follow the newest.
        restarted: usize,
    },
    /// Response to `List`.
    Secrets(Vec<Listed>),
    /// Response to `Versions`.
    Versions(Vec<ListedVersion>),
    /// Response to `Delete`.
    Deleted {},
    /// Response to `Audit`, the oldest first.
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
    /// Its newest version.
    pub newest: u32,
    /// How many versions it has.
    pub versions: usize,
    /// When the newest was set, Unix milliseconds.
    pub set_ms: i64,
    /// Functions with a version that has it, as `namespace/name`.
    pub used_by: Vec<String>,
}

/// A version of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedVersion {
    /// Its number.
    pub version: u32,
    /// Bytes of its value.
    pub bytes: u64,
    /// When it was set, Unix milliseconds.
    pub set_ms: i64,
    /// Versions of functions that have it, as `namespace/name:version`.
    pub used_by: Vec<String>,
}
