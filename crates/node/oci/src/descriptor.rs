//! Descriptors: pointers to content by media type, digest and size (OCI image specification,
//! descriptor.md).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use types::Digest;

use crate::Platform;
use crate::media_type::is_foreign_layer;

/// A descriptor as written. Fields that few readers need are parsed on request, so that they cannot
/// make the rest unreadable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawDescriptor {
    /// May be empty.
    #[serde(default)]
    pub media_type: String,
    /// Not checked.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    platform: Option<Value>,
    annotations: Option<Value>,
}

/// A parsed descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawDescriptor")]
pub struct Descriptor {
    /// May be empty.
    pub media_type: String,
    /// SHA-256.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Set in entries of an index.
    pub platform: Option<Platform>,
    /// Annotations whose values are texts.
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// A descriptor without platform and annotations.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.into(), digest, size, platform: None, annotations: BTreeMap::new() }
    }

    /// Whether it is a layer that its registry need not have.
    pub fn is_foreign(&self) -> bool {
        is_foreign_layer(&self.media_type)
    }

    /// Media type, digest and size as JSON.
    pub(crate) fn to_value(&self) -> Value {
        serde_json::json!({ "digest": self.digest.as_str(), "mediaType": self.media_type, "size": self.size })
    }
}

impl TryFrom<RawDescriptor> for Descriptor {
    type Error = String;

    fn try_from(raw: RawDescriptor) -> Result<Self, String> {
        let digest = raw.digest.parse().map_err(|error: <Digest as std::str::FromStr>::Err| error.to_string())?;
        let platform = raw.platform.map(serde_json::from_value).transpose().map_err(|error| error.to_string())?;
        let annotations = match raw.annotations {
            Some(Value::Object(all)) => all.into_iter().filter_map(text).collect(),
            _ => BTreeMap::new(),
        };
        Ok(Self { media_type: raw.media_type, digest, size: raw.size, platform, annotations })
    }
}

fn text((key, value): (String, Value)) -> Option<(String, String)> {
    if let Value::String(value) = value { Some((key, value)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_of_a_descriptor_may_be_missing_or_odd() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let with = |rest: &str| format!(r#"{{"digest": "{digest}", "size": 1{rest}}}"#);
        let read = |rest: &str| serde_json::from_str::<Descriptor>(&with(rest));
        let plain = read("").expect("no media type");
        assert_eq!((plain.media_type.as_str(), &plain.platform), ("", &None));
        let odd = read(r#", "annotations": {"a": 1, "b": "text"}, "urls": 7, "platform": {}"#).expect("odd");
        assert_eq!(odd.annotations, BTreeMap::from([("b".to_owned(), "text".to_owned())]));
        assert!(odd.platform.is_some_and(|platform| platform.is_empty()));
        assert_eq!(read(r#", "annotations": null, "platform": null"#).expect("nulls"), plain);
        assert!(read(r#", "platform": "linux""#).is_err());
        let raw: RawDescriptor = serde_json::from_str(&with(r#", "platform": "linux""#)).expect("not asked for");
        assert_eq!(raw.digest, digest);
        assert!(serde_json::from_str::<Descriptor>(r#"{"digest": "sha512:0", "size": 1}"#).is_err());
    }
}
