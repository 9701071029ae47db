//! A manifest or an index as it is written, before anything is concluded from it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::RawDescriptor;

/// The fields of a document that may be a manifest or an index.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fields {
    /// 2 for all that is read here.
    pub schema_version: u64,
    /// What the document calls itself.
    pub media_type: Option<String>,
    /// Of a manifest.
    pub config: Option<RawDescriptor>,
    /// Of a manifest, lowest first.
    pub layers: Option<Vec<RawDescriptor>>,
    /// Of an index.
    pub manifests: Option<Vec<RawDescriptor>>,
    artifact_type: Option<Value>,
    subject: Option<Value>,
    annotations: Option<Value>,
    /// Of Docker's schema 1.
    fs_layers: Option<IgnoredAny>,
}

impl Fields {
    /// Reads the JSON; nothing but its shape is checked.
    ///
    /// # Errors
    /// It is no JSON, or a field is not of the specification's shape.
    pub fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// What kind of artifact it says to be; an empty text says nothing.
    ///
    /// # Errors
    /// It is no text.
    pub fn artifact_type(&self) -> Result<Option<String>, serde_json::Error> {
        Ok(typed::<String>(self.artifact_type.as_ref())?.filter(|kind| !kind.is_empty()))
    }

    /// The document that this one is about.
    ///
    /// # Errors
    /// It is no descriptor.
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
