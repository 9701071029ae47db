//! Validation of pushed manifests: kind and references. [`oci::Fields`] parses the fields; this
//! file requires and forbids them.

use std::collections::BTreeMap;

use oci::media_type::{is_foreign_layer, is_index, is_manifest};
use oci::{Fields, RawDescriptor};
use types::Digest;

/// The parts of a manifest that matter to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) media_type: String,
    /// Config and layers, without duplicates, with their stated lengths.
    pub(crate) blobs: Vec<(Digest, u64)>,
    /// Children of an index.
    pub(crate) manifests: Vec<Digest>,
    pub(crate) subject: Option<Digest>,
    pub(crate) artifact_type: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("the manifest is not valid JSON of its kind: {0}")]
    Json(String),
    #[error("neither Content-Type nor the manifest's mediaType says what it is; send the media type as Content-Type")]
    NoMediaType,
    #[error("Content-Type says {header} and the manifest's mediaType {body}; they must be the same")]
    MediaTypesDiffer { header: String, body: String },
    #[error("manifests of type {0:?} are not taken; push an OCI image or index, or a Docker schema 2 image or list")]
    UnknownMediaType(String),
    #[error("schemaVersion is {0}, not 2; push with a tool that writes OCI or Docker schema 2 manifests")]
    SchemaVersion(u64),
    #[error("a manifest of type {media_type} cannot have {field}")]
    ForeignField { media_type: String, field: &'static str },
    #[error("a manifest of type {media_type} must have {field}")]
    MissingField { media_type: String, field: &'static str },
    #[error("{text:?} in {field} is no digest that is kept here; use sha256: and 64 lower-case hexadecimal digits")]
    Digest { field: &'static str, text: String },
}

impl Invalid {
    fn json(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

fn digest(descriptor: &RawDescriptor, field: &'static str) -> Result<Digest, Invalid> {
    descriptor.digest.parse().map_err(|_| Invalid::Digest { field, text: descriptor.digest.clone() })
}

/// Parses a manifest; `content_type` is the request's header.
pub(crate) fn read(content_type: Option<&str>, body: &[u8]) -> Result<Document, Invalid> {
    let fields = Fields::read(body).map_err(Invalid::json)?;
    let media_type = media_type(content_type, fields.media_type.as_deref())?;
    if fields.schema_version != 2 {
        return Err(Invalid::SchemaVersion(fields.schema_version));
    }
    let mut document = match media_type.as_str() {
        kind if is_manifest(kind) => image(media_type, &fields)?,
        kind if is_index(kind) => index(media_type, &fields)?,
        _ => return Err(Invalid::UnknownMediaType(media_type)),
    };
    let subject = fields.subject().map_err(Invalid::json)?;
    document.subject = subject.map(|subject| digest(&subject, "subject")).transpose()?;
    document.annotations = fields.annotations().map_err(Invalid::json)?;
    Ok(document)
}

/// The media type by header and body, which must agree: otherwise readers that trust one of them
/// see different content (CVE-2021-41190).
fn media_type(header: Option<&str>, body: Option<&str>) -> Result<String, Invalid> {
    // Parameters (`; charset=utf-8`) are not part of the type.
    let header = header.and_then(|text| text.split(';').next()).map(str::trim).filter(|text| !text.is_empty());
    match (header, body) {
        (Some(header), Some(body)) if header != body => {
            Err(Invalid::MediaTypesDiffer { header: header.to_owned(), body: body.to_owned() })
        }
        (Some(one), _) | (None, Some(one)) => Ok(one.to_owned()),
        (None, None) => Err(Invalid::NoMediaType),
    }
}

fn image(media_type: String, fields: &Fields) -> Result<Document, Invalid> {
    if fields.manifests.is_some() {
        return Err(Invalid::ForeignField { media_type, field: "manifests" });
    }
    let Some(config) = &fields.config else { return Err(Invalid::MissingField { media_type, field: "config" }) };
    let mut blobs = vec![(digest(config, "config")?, config.size)];
    for layer in fields.layers.iter().flatten().filter(|layer| !is_foreign_layer(&layer.media_type)) {
        blobs.push((digest(layer, "layers")?, layer.size));
    }
    // A layer may occur several times; with two lengths both are kept, and one will be found wrong.
    blobs.sort();
    blobs.dedup();
    // The artifact type of an image without one is the media type of its config (distribution
    // specification, "Listing Referrers").
    let artifact_type = fields.artifact_type().map_err(Invalid::json)?;
    let artifact_type = artifact_type.or_else(|| Some(config.media_type.clone()).filter(|kind| !kind.is_empty()));
    Ok(Document { blobs, artifact_type, ..empty(media_type) })
}

fn index(media_type: String, fields: &Fields) -> Result<Document, Invalid> {
    for (present, field) in [(fields.config.is_some(), "config"), (fields.layers.is_some(), "layers")] {
        if present {
            return Err(Invalid::ForeignField { media_type, field });
        }
    }
    let Some(children) = &fields.manifests else {
        return Err(Invalid::MissingField { media_type, field: "manifests" });
    };
    let manifests = children.iter().map(|child| digest(child, "manifests")).collect::<Result<_, _>>()?;
    let artifact_type = fields.artifact_type().map_err(Invalid::json)?;
    Ok(Document { manifests, artifact_type, ..empty(media_type) })
}

fn empty(media_type: String) -> Document {
    Document {
        media_type,
        blobs: Vec::new(),
        manifests: Vec::new(),
        subject: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use oci::media_type::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn digest(n: u8) -> Digest {
        Digest::from_sha256(&[n; 32])
    }

    fn descriptor(n: u8, media_type: &str) -> serde_json::Value {
        json!({ "mediaType": media_type, "digest": digest(n).as_str(), "size": n })
    }

    fn read_json(content_type: Option<&str>, body: &serde_json::Value) -> Result<Document, Invalid> {
        read(content_type, body.to_string().as_bytes())
    }

    #[test]
    fn an_image_names_its_config_and_each_layer_once_but_no_foreign_one() {
        let body = json!({
            "schemaVersion": 2,
            "config": descriptor(1, "c"),
            "layers": [
                descriptor(2, "l"),
                descriptor(2, "l"),
                descriptor(3, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
                descriptor(4, "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
            ],
        });
        for kind in [OCI_MANIFEST, DOCKER_MANIFEST] {
            let document = read_json(Some(&format!("{kind}; charset=utf-8")), &body).unwrap();
            assert_eq!(document.blobs, [(digest(1), 1), (digest(2), 2)]);
            assert_eq!((document.media_type.as_str(), document.artifact_type.as_deref()), (kind, Some("c")));
        }
    }

    #[test]
    fn an_index_names_its_children() {
        let body =
            json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(1, "m")], "layers": null });
        let document = read_json(None, &body).unwrap();
        assert_eq!((document.manifests, document.blobs, document.artifact_type), (vec![digest(1)], vec![], None));
    }

    #[test]
    fn an_artifact_says_what_it_is_and_what_it_is_about() {
        let body = json!({
            "schemaVersion": 2, "artifactType": "text/sbom", "config": descriptor(1, "application/vnd.oci.empty.v1+json"),
            "layers": [], "subject": descriptor(9, "m"), "annotations": { "k": "v" },
        });
        let document = read_json(Some(OCI_MANIFEST), &body).unwrap();
        assert_eq!(document.artifact_type.as_deref(), Some("text/sbom"));
        assert_eq!(document.subject, Some(digest(9)));
        assert_eq!(document.annotations["k"], "v");
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_the_reason() {
        let config = descriptor(1, "c");
        for (content_type, body, expected) in [
            (None, json!({ "schemaVersion": 2, "config": config }), Invalid::NoMediaType),
            (Some("text/plain"), json!({ "schemaVersion": 2 }), Invalid::UnknownMediaType("text/plain".into())),
            (Some(OCI_MANIFEST), json!({ "schemaVersion": 1 }), Invalid::SchemaVersion(1)),
            (
                Some(OCI_MANIFEST),
                json!({ "schemaVersion": 2, "mediaType": OCI_INDEX }),
                Invalid::MediaTypesDiffer { header: OCI_MANIFEST.into(), body: OCI_INDEX.into() },
            ),
            (
                Some(OCI_MANIFEST),
                json!({ "schemaVersion": 2, "config": config, "manifests": [] }),
                Invalid::ForeignField { media_type: OCI_MANIFEST.into(), field: "manifests" },
            ),
            (
                Some(OCI_INDEX),
                json!({ "schemaVersion": 2, "manifests": [], "layers": [] }),
                Invalid::ForeignField { media_type: OCI_INDEX.into(), field: "layers" },
            ),
            (
                Some(OCI_MANIFEST),
                json!({ "schemaVersion": 2, "layers": [] }),
                Invalid::MissingField { media_type: OCI_MANIFEST.into(), field: "config" },
            ),
            (
                Some(OCI_INDEX),
                json!({ "schemaVersion": 2 }),
                Invalid::MissingField { media_type: OCI_INDEX.into(), field: "manifests" },
            ),
            (
                Some(OCI_MANIFEST),
                json!({ "schemaVersion": 2, "config": { "digest": "sha512:0", "size": 1 } }),
                Invalid::Digest { field: "config", text: "sha512:0".into() },
            ),
        ] {
            assert_eq!(read_json(content_type, &body), Err(expected), "{body}");
        }
        assert!(matches!(read(Some(OCI_MANIFEST), b"{"), Err(Invalid::Json(_))));
        let negative = br#"{"schemaVersion":2,"config":{"digest":"x","size":-1}}"#;
        assert!(matches!(read(Some(OCI_MANIFEST), negative), Err(Invalid::Json(_))));
        for odd in [json!({"annotations": {"a": 1}}), json!({"subject": "x"}), json!({"artifactType": 7})] {
            let mut body = json!({ "schemaVersion": 2, "config": config });
            body.as_object_mut().unwrap().extend(odd.as_object().unwrap().clone());
            assert!(matches!(read_json(Some(OCI_MANIFEST), &body), Err(Invalid::Json(_))), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200), content_type in prop::option::of("\\PC{0,20}")) {
            let _ = read(content_type.as_deref(), &body);
        }
    }
}
