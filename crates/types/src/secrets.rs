//! Secrets as the platform keeps them: names and versions in clear, values sealed.

use std::fmt;
use std::sync::Arc;

use crate::ids::{Namespace, SecretName};

/// A secret: functions of its namespace can have it, and no others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretKey {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name there.
    pub name: SecretName,
}

impl fmt::Display for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A secret with its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    /// Which it is.
    pub key: SecretKey,
    /// Its versions, the oldest first; there is at least one.
    pub versions: Vec<SecretVersion>,
    /// When it was made, Unix milliseconds.
    pub added_ms: i64,
}

/// One value that a secret has or had. Its `Debug` shows no bytes of it, sealed as they are.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretVersion {
    /// Its number, counted from 1 and not used again.
    pub number: u32,
    /// The sealed value.
    pub sealed: Arc<[u8]>,
    /// Bytes of the value.
    pub bytes: u64,
    /// Whether the value can be that of a variable.
    pub is_text: bool,
    /// When it was set, Unix milliseconds.
    pub added_ms: i64,
}

impl fmt::Debug for SecretVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretVersion")
            .field("number", &self.number)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl SecretRecord {
    /// The version of a number, or the newest.
    pub fn version(&self, number: Option<u32>) -> Option<&SecretVersion> {
        match number {
            None => self.versions.last(),
            Some(number) => self.versions.iter().find(|version| version.number == number),
        }
    }
}
