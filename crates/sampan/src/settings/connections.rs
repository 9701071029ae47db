//! `[connections.NAME]`: other services, which triggers and functions name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A service, by its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Connection {
    /// An object store that speaks S3.
    S3(object_store::Connection),
}

impl Connection {
    /// The object stores among connections.
    pub fn stores(connections: &BTreeMap<String, Self>) -> BTreeMap<String, object_store::Connection> {
        connections.iter().map(|(name, Self::S3(store))| (name.clone(), store.clone())).collect()
    }
}
