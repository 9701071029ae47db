//! Manifests and indexes: what their bytes say, and whether Sampan can use it. Pure: no I/O, no network. Must
//! not know where the bytes came from; whoever has them checked their digest.
//!
//! Read after the OCI image specification 1.1 (manifest.md, image-index.md) and Docker's image manifest
//! version 2, schema 2, with serde structures of our own rather than `oci-spec`'s: those refuse a whole document for a
//! field that does not matter here, and their errors name no field of ours.

use serde::Deserialize;
use types::Digest;

use crate::platform::{self, PLATFORM, Platform};

/// Media types that are asked for, most wanted first; schema 1 is not among them.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
const LAYER_TYPES: [&str; 6] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// Layers that a registry need not have. Where else they are (`urls`) is not followed.
const FOREIGN_TYPES: [&str; 5] = [
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

/// Why a manifest, an index or a config cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// No JSON, or not of the shape the specification gives.
    #[error("its {document} is not valid: {reason}")]
    Invalid {
        /// `manifest` or `config`.
        document: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Docker's schema 1, which has no digests of its own.
    #[error("its manifest has the retired Docker schema 1")]
    SchemaOne,
    /// A layer that other registries keep, or that may not be distributed, and that is not here.
    #[error("layer {digest} is not distributed with the image ({media_type})")]
    Foreign {
        /// The layer.
        digest: Digest,
        /// Its media type.
        media_type: String,
    },
    /// An encrypted layer.
    #[error("layer {digest} is encrypted ({media_type})")]
    Encrypted {
        /// The layer.
        digest: Digest,
        /// Its media type.
        media_type: String,
    },
    /// An artifact that is no container image.
    #[error("it is not a container image: {what} has media type {media_type:?}")]
    NotAnImage {
        /// `config` or `layer` with its digest.
        what: String,
        /// The media type.
        media_type: String,
    },
    /// Made for other machines.
    #[error("it is not made for {PLATFORM} but for {}{}", has.join(", "), processor_note(has))]
    Platform {
        /// The platforms that it is made for.
        has: Vec<String>,
    },
}

impl ManifestError {
    /// What a user can do about it, as a sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "Build and push the image again.",
            Self::SchemaOne => "Push the image again with a current tool, or copy it with `skopeo copy --format v2s2`.",
            Self::Foreign { .. } => {
                "Build the image on a base whose layers are all in the registry, or push the layer too (docker's allow-nondistributable-artifacts)."
            }
            Self::Encrypted { .. } => "Push the image without encryption.",
            Self::NotAnImage { .. } => "Name a container image; other artifacts cannot run.",
            Self::Platform { .. } => {
                "Build the image for linux/amd64, with docker: `docker build --platform linux/amd64`."
            }
        }
    }

    fn manifest(reason: impl Into<String>) -> Self {
        Self::Invalid { document: "manifest", reason: reason.into() }
    }

    pub(crate) fn config(reason: impl Into<String>) -> Self {
        Self::Invalid { document: "config", reason: reason.into() }
    }
}

/// Where only the variant does not fit: which one would.
fn processor_note(has: &[String]) -> String {
    let amd64 = has.iter().any(|name| name.starts_with(PLATFORM));
    if amd64 {
        format!(" (this processor runs variants up to v{})", platform::processor_level())
    } else {
        String::new()
    }
}

/// A pointer to content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default)]
    platform: Option<Platform>,
}

/// What a manifest reference leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    Index(Index),
    Manifest(Manifest),
}

/// One image in several platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    manifests: Vec<Descriptor>,
}

/// One image: its config and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    schema_version: u64,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

/// Reads a manifest or an index. A document that could be read as both is refused, since two readers could then see two
/// images under one digest.
pub(crate) fn parse(bytes: &[u8]) -> Result<Document, ManifestError> {
    // Only the version first: schema 1 shares no other required field with what is read below.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        schema_version: Option<u64>,
    }
    let version: Version = serde_json::from_slice(bytes).map_err(|e| ManifestError::manifest(e.to_string()))?;
    if version.schema_version == Some(1) {
        return Err(ManifestError::SchemaOne);
    }
    let fields: Fields = serde_json::from_slice(bytes).map_err(|e| ManifestError::manifest(e.to_string()))?;
    if fields.schema_version != 2 {
        return Err(ManifestError::manifest(format!("schemaVersion is {}, not 2", fields.schema_version)));
    }
    let media_type = fields.media_type.as_deref();
    match (fields.manifests, fields.config, fields.layers) {
        (Some(manifests), None, None)
            if fields.fs_layers.is_none() && matches!(media_type, None | Some(OCI_INDEX | DOCKER_LIST)) =>
        {
            Ok(Document::Index(Index { manifests }))
        }
        (None, Some(config), Some(layers))
            if fields.fs_layers.is_none() && matches!(media_type, None | Some(OCI_MANIFEST | DOCKER_MANIFEST)) =>
        {
            Ok(Document::Manifest(Manifest { config, layers }))
        }
        (None, None, None) => Err(ManifestError::manifest("it has neither config and layers nor manifests")),
        _ => Err(ManifestError::manifest(format!(
            "its fields do not go together with each other or with media type {media_type:?}"
        ))),
    }
}

impl Index {
    /// The entry for this platform: the highest variant that the processor runs.
    pub(crate) fn choose(&self) -> Result<&Descriptor, ManifestError> {
        self.fitting(platform::processor_level()).first().copied().ok_or_else(|| self.for_others())
    }

    /// The entries that a processor of this level runs, the highest variant first; of equal ones in the index's order. Where
    /// there are none, those that say no platform (it is optional, image-index.md): the image's config decides then.
    pub(crate) fn fitting(&self, processor: u8) -> Vec<&Descriptor> {
        let fits = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|platform| platform.fits(processor));
        let mut fitting: Vec<_> = self.manifests.iter().filter(fits).collect();
        fitting.sort_by_key(|entry| std::cmp::Reverse(entry.platform.as_ref().and_then(Platform::level)));
        if fitting.is_empty() {
            let says_nothing = |entry: &&Descriptor| entry.platform.as_ref().is_none_or(Platform::is_empty);
            fitting.extend(self.manifests.iter().filter(says_nothing));
        }
        fitting
    }

    fn for_others(&self) -> ManifestError {
        let mut has: Vec<String> = self
            .manifests
            .iter()
            .filter_map(|m| m.platform.as_ref())
            // Build attestations hang under this name.
            .filter(|p| p.os != "unknown")
            .map(Platform::name)
            .collect();
        has.sort();
        has.dedup();
        if has.is_empty() {
            has.push("no platform at all".into());
        }
        ManifestError::Platform { has }
    }
}

impl Descriptor {
    /// Whether it is a layer that its registry need not have.
    pub(crate) fn is_foreign(&self) -> bool {
        FOREIGN_TYPES.contains(&self.media_type.as_str())
    }

    /// What it means that a layer is nowhere.
    pub(crate) fn foreign(&self) -> ManifestError {
        ManifestError::Foreign { digest: self.digest.clone(), media_type: self.media_type.clone() }
    }
}

impl Manifest {
    /// Whether everything in it is of a kind that can be run.
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        if !CONFIG_TYPES.contains(&self.config.media_type.as_str()) {
            return Err(ManifestError::NotAnImage {
                what: format!("config {}", self.config.digest),
                media_type: self.config.media_type.clone(),
            });
        }
        self.layers.iter().try_for_each(check_layer)
    }

    /// Compressed bytes of config and layers.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.layers.iter().fold(self.config.size, |sum, layer| sum.saturating_add(layer.size))
    }
}

fn check_layer(layer: &Descriptor) -> Result<(), ManifestError> {
    let (digest, media_type) = (layer.digest.clone(), layer.media_type.clone());
    if LAYER_TYPES.contains(&media_type.as_str()) || layer.is_foreign() {
        Ok(())
    } else if media_type.ends_with("+encrypted") {
        Err(ManifestError::Encrypted { digest, media_type })
    } else {
        Err(ManifestError::NotAnImage { what: format!("layer {digest}"), media_type })
    }
}

/// Digests that a manifest or an index names, for the reference graph. Lenient: whatever was stored may be an artifact
/// of a kind unknown here, and what it names must be kept all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// Further manifests or indexes.
    pub manifests: Vec<Digest>,
    /// The config.
    pub config: Option<Digest>,
    /// Layers and other blobs.
    pub blobs: Vec<Digest>,
}

/// Reads what a document names; nothing when it is no such document.
pub(crate) fn references(bytes: &[u8]) -> References {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn digest(fill: char) -> String {
        format!("sha256:{}", fill.to_string().repeat(64))
    }

    fn layer(media_type: &str) -> serde_json::Value {
        json!({"mediaType": media_type, "digest": digest('b'), "size": 7})
    }

    fn manifest(config_type: &str, layers: &[serde_json::Value]) -> Vec<u8> {
        let config = json!({"mediaType": config_type, "digest": digest('a'), "size": 3});
        json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string().into_bytes()
    }

    fn checked(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        match parse(bytes)? {
            Document::Manifest(manifest) => manifest.check().map(|()| manifest),
            Document::Index(_) => panic!("an index"),
        }
    }

    fn index(platforms: &[(&str, &str, Option<&str>)]) -> Index {
        let entries: Vec<_> = platforms
            .iter()
            .map(|(os, architecture, variant)| {
                json!({"mediaType": OCI_MANIFEST, "digest": digest('c'), "size": 1,
                    "platform": {"os": os, "architecture": architecture, "variant": variant}})
            })
            .collect();
        let bytes = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).to_string();
        match parse(bytes.as_bytes()) {
            Ok(Document::Index(index)) => index,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_families_of_media_types_are_read() {
        for config_type in CONFIG_TYPES {
            let layers: Vec<_> = LAYER_TYPES.iter().map(|t| layer(t)).collect();
            assert_eq!(checked(&manifest(config_type, &layers)).map(|m| m.size_bytes()), Ok(3 + 7 * 6));
        }
    }

    #[test]
    fn layers_that_cannot_be_unpacked_are_refused_by_kind() {
        let with = |media_type: &str| checked(&manifest(CONFIG_TYPES[0], &[layer(media_type)]));
        // Whether they can be had is found out when they are wanted.
        assert!(FOREIGN_TYPES.iter().all(|foreign| with(foreign).is_ok()));
        let encrypted = with("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
        assert!(matches!(encrypted, Err(ManifestError::Encrypted { .. })));
        assert!(matches!(with("text/plain"), Err(ManifestError::NotAnImage { .. })));
        let chart = checked(&manifest("application/vnd.cncf.helm.config.v1+json", &[]));
        assert!(matches!(chart, Err(ManifestError::NotAnImage { .. })));
    }

    #[test]
    fn schema_one_is_named() {
        let bytes = json!({"schemaVersion": 1, "name": "a", "fsLayers": [], "history": []}).to_string();
        assert_eq!(parse(bytes.as_bytes()), Err(ManifestError::SchemaOne));
    }

    #[test]
    fn a_document_that_is_manifest_and_index_at_once_is_refused() {
        let mut value: serde_json::Value = serde_json::from_slice(&manifest(CONFIG_TYPES[0], &[])).expect("made above");
        value["manifests"] = json!([]);
        assert!(matches!(parse(value.to_string().as_bytes()), Err(ManifestError::Invalid { .. })));
        let wrong_type =
            json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "config": layer("x"), "layers": []}).to_string();
        assert!(matches!(parse(wrong_type.as_bytes()), Err(ManifestError::Invalid { .. })));
    }

    #[test]
    fn an_index_gives_the_baseline_of_the_platform() {
        assert!(index(&[("linux", "arm64", Some("v8")), ("linux", "amd64", None)]).choose().is_ok());
        let error = index(&[("linux", "arm64", Some("v8")), ("windows", "amd64", None), ("unknown", "unknown", None)])
            .choose()
            .expect_err("nothing fits");
        assert_eq!(error, ManifestError::Platform { has: vec!["linux/arm64/v8".into(), "windows/amd64".into()] });
    }

    #[test]
    fn entries_without_a_platform_are_taken_where_no_other_fits() {
        let mut index = index(&[("linux", "arm64", None), ("linux", "amd64", None)]);
        index.manifests[1].platform = None;
        assert_eq!(index.choose().expect("the config decides").platform, None);
        index.manifests[0].platform =
            Some(Platform { architecture: "amd64".into(), ..index.manifests[0].platform.clone().expect("given") });
        assert!(index.choose().expect("it fits").platform.is_some());
    }

    #[test]
    fn the_highest_variant_that_the_processor_runs_is_chosen() {
        let variants = |all: &[Option<&'static str>]| {
            index(&all.iter().map(|variant| ("linux", "amd64", *variant)).collect::<Vec<_>>())
        };
        let chosen = |all: &[Option<&'static str>], processor: u8| {
            let index = variants(all);
            index.fitting(processor).first().map(|entry| entry.platform.clone().expect("given").variant)
        };
        let v = |variant: &str| Some(Some(variant.to_owned()));
        assert_eq!(chosen(&[Some("v2"), Some("v3")], 2), v("v2"));
        assert_eq!(chosen(&[Some("v2"), Some("v3")], 3), v("v3"));
        assert_eq!(chosen(&[Some("v3"), Some("v2"), Some("v4")], 4), v("v4"));
        assert_eq!(chosen(&[None, Some("v3")], 2), Some(None));
        assert_eq!(chosen(&[None, Some("v3")], 3), v("v3"));
        // Of equal ones the first.
        assert_eq!(chosen(&[None, Some("v1")], 4), Some(None));
        assert_eq!(chosen(&[Some("v2"), Some("v3")], 1), None);
        let error = ManifestError::Platform { has: vec!["linux/amd64/v9".into()] }.to_string();
        assert!(error.contains("this processor runs variants up to v"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = references(&bytes);
        }

        #[test]
        fn what_a_manifest_names_is_what_its_references_name(sizes in proptest::collection::vec(0u64..1 << 40, 0..20)) {
            let layers: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(i, size)| {
                    json!({"mediaType": LAYER_TYPES[i % 6], "digest": format!("sha256:{i:064x}"), "size": size})
                })
                .collect();
            let bytes = manifest(CONFIG_TYPES[0], &layers);
            let read = checked(&bytes).expect("valid");
            prop_assert_eq!(read.size_bytes(), 3 + sizes.iter().sum::<u64>());
            let names = references(&bytes);
            prop_assert_eq!(names.config, Some(read.config.digest));
            prop_assert_eq!(names.blobs, read.layers.into_iter().map(|l| l.digest).collect::<Vec<_>>());
        }
    }
}
