//! What is remembered of a manifest beside its bytes, so that lists and deletions need not read it again. Must not know
//! where it is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::Digest;

/// A manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// As it was pushed: the `Content-Type` of every answer with it.
    pub(crate) media_type: String,
    /// Its length.
    pub(crate) size_bytes: u64,
    /// Blobs that it names: config and layers.
    pub(crate) blobs: Vec<Digest>,
    /// Set when it refers to another manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) referrer: Option<Referrer>,
}

/// What the list of referrers says of a manifest that has a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Referrer {
    /// The manifest that it is about.
    pub(crate) subject: Digest,
    /// What kind of thing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}
