//! Which digests a stored document names.

use serde::Deserialize;
use types::Digest;

/// Digests that a manifest or an index names, for the reference graph. Lenient: whatever was stored
/// may be an artifact of a kind unknown here, and what it names must be kept all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Further manifests or indexes.
    pub manifests: Vec<Digest>,
    /// The config.
    pub config: Option<Digest>,
    /// Layers and other blobs.
    pub blobs: Vec<Digest>,
}

/// Reads what a document names; nothing when it is no such document.
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
