//! The fields of a manifest or an index as written, before interpretation.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::RawDescriptor;

/// The fields of a document that may be a manifest or an index.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields {
    /// 2 for all supported documents.
    pub schema_version: u64,
    /// The document's own media type.
    pub media_type: Option<String>,
    /// Only in a manifest.
    pub config: Option<RawDescriptor>,
    /// Only in a manifest, lowest first.
    pub layers: Option<Vec<RawDescriptor>>,
    /// Only in an index.
    pub manifests: Option<Vec<RawDescriptor>>,
    artifact_type: Option<Value>,
    subject: Option<Value>,
    annotations: Option<Value>,
    /// Only in Docker's schema 1.
    fs_layers: Option<IgnoredAny>,
}

impl Fields {
    /// Parses the JSON; checks only its shape.
    ///
    /// # Errors
    /// Invalid JSON, or a field whose shape violates the specification.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The artifact type; an empty text counts as none.
    ///
    /// # Errors
    /// It is not a text.
    pub fn artifact_type(&self) -> Result<Option<String>, serde_json::Error> {
        Ok(typed::<String>(self.artifact_type.as_ref())?.filter(|kind| !kind.is_empty()))
    }

    /// The document that this one refers to.
    ///
    /// # Errors
    /// It is not a descriptor.
    pub fn subject(&self) -> Result<Option<RawDescriptor>, serde_json::Error> {
        typed(self.subject.as_ref())
    }

    /// Texts by key.
    ///
    /// # Errors
    /// They are not texts.
    pub fn annotations(&self) -> Result<BTreeMap<String, String>, serde_json::Error> {
        Ok(typed(self.annotations.as_ref())?.unwrap_or_default())
    }

    /// Whether it has the layers of Docker's schema 1.
    pub(crate) fn has_schema_one_layers(&self) -> bool {
        self.fs_layers.is_some()
    }
}

fn typed<T: DeserializeOwned>(value: Option<&Value>) -> Result<Option<T>, serde_json::Error> {
    value.map(T::deserialize).transpose()
}
