//! `[connections.NAME]`: other services, which triggers and functions name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A service, by its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Connection {
    /// An object store that speaks S3.
    S3(object_store::Connection),
    /// An HTTP endpoint, which destinations of events name.
    Http(outbound::Connection),
}

impl Connection {
    /// The object stores among connections.
    pub fn stores(connections: &BTreeMap<String, Self>) -> BTreeMap<String, object_store::Connection> {
        let store = |(name, connection): (&String, &Self)| match connection {
            Self::S3(store) => Some((name.clone(), store.clone())),
            Self::Http(_) => None,
        };
        connections.iter().filter_map(store).collect()
    }

    /// The HTTP endpoints among connections.
    pub fn endpoints(connections: &BTreeMap<String, Self>) -> BTreeMap<String, outbound::Connection> {
        let endpoint = |(name, connection): (&String, &Self)| match connection {
            Self::Http(endpoint) => Some((name.clone(), endpoint.clone())),
            Self::S3(_) => None,
        };
        connections.iter().filter_map(endpoint).collect()
    }
}
