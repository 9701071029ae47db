//! Stored secrets: names and versions in clear, values sealed.

use std::fmt;
use std::sync::Arc;

use crate::ids::{Namespace, SecretName};

/// Key of a secret; only functions of its namespace can use it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretKey {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name in the namespace.
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
    /// Its key.
    pub key: SecretKey,
    /// Its versions, oldest first; never empty.
    pub versions: Vec<SecretVersion>,
    /// When it was created, Unix milliseconds.
    pub added_ms: i64,
}

/// A version of a secret. `Debug` does not print the sealed value.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretVersion {
    /// Its number, from 1; never reused.
    pub number: u32,
    /// The sealed value.
    pub sealed: Arc<[u8]>,
    /// Length of the value, in bytes.
    pub bytes: u64,
    /// Whether the value is valid for a variable.
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
