//! Digests that a stored document references.

use serde::Deserialize;
use types::Digest;

/// Digests that a manifest or an index references, for garbage collection. Lenient: a stored
/// document may be an artifact of an unknown kind, whose references must still be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Further manifests or indexes.
    pub manifests: Vec<Digest>,
    /// The config.
    pub config: Option<Digest>,
    /// Layers and other blobs.
    pub blobs: Vec<Digest>,
}

/// Reads the references of a document; empty for anything else.
pub fn references(bytes: &[u8]) -> References {
    #[derive(Deserialize)]
    struct Named {
        digest: Digest,
    }
    fn named(value: Option<&serde_json::Value>) -> Option<Digest> {
        value.and_then(|v| Named::deserialize(v).ok()).map(|n| n.digest)
    }
    fn list(value: Option<&serde_json::Value>) -> Vec<Digest> {
        let items = value.and_then(|v| v.as_array()).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(|item| named(Some(item))).collect()
    }
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return References::default() };
    let mut blobs = list(value.get("layers"));
    blobs.extend(list(value.get("blobs")));
    References { manifests: list(value.get("manifests")), config: named(value.get("config")), blobs }
}
