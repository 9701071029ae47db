//! The record of a manifest: metadata that lists and deletions need without reading the manifest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::Digest;

/// A manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Media type as pushed: the `Content-Type` of its responses.
    pub(crate) media_type: String,
    /// Its length.
    pub(crate) size_bytes: u64,
    /// Blobs that it names: config and layers.
    pub(crate) blobs: Vec<Digest>,
    /// Set for a manifest with a subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) referrer: Option<Referrer>,
}

/// The manifest's entry in a list of referrers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Referrer {
    /// Its subject.
    pub(crate) subject: Digest,
    /// Its artifact type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}
