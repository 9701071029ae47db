//! Manifests and indexes (OCI image specification, manifest.md, image-index.md), and the selection
//! of an index's entry for this machine.

use serde::Deserialize;
use serde_json::json;

use crate::media_type::{
    OCI_MANIFEST, is_config, is_docker_layer, is_encrypted_layer, is_index, is_layer, is_manifest, is_unspecific,
};
use crate::{Descriptor, Error, Fields, Platform, RawDescriptor, processor_level};

/// The document of a manifest reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image for several platforms.
    Index(Index),
    /// One image for one platform.
    Manifest(Manifest),
}

/// One image for several platforms, or several images.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Index {
    /// Manifests, or further indexes.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
}

/// One image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Manifest {
    /// Its config.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
}

impl Document {
    /// Parses a manifest or an index. A document that could be read as both is rejected, since two
    /// readers could then see two images under one digest.
    ///
    /// # Errors
    /// `Invalid`, `SchemaOne`.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        // Only the version first: schema 1 shares no other required field with what is read below.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            schema_version: Option<u64>,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(|e| Error::manifest(e.to_string()))?;
        if version.schema_version == Some(1) {
            return Err(Error::SchemaOne);
        }
        let fields = Fields::read(bytes).map_err(|e| Error::manifest(e.to_string()))?;
        if fields.schema_version != 2 {
            return Err(Error::manifest(format!("schemaVersion is {}, not 2", fields.schema_version)));
        }
        Self::of_fields(fields)
    }

    fn of_fields(fields: Fields) -> Result<Self, Error> {
        let has_schema_one_layers = fields.has_schema_one_layers();
        let media_type = fields.media_type.as_deref();
        let is_said = |of_kind: fn(&str) -> bool| !has_schema_one_layers && media_type.is_none_or(of_kind);
        match (fields.manifests, fields.config, fields.layers) {
            (Some(manifests), None, None) if is_said(is_index) => {
                Ok(Self::Index(Index { manifests: descriptors(manifests)? }))
            }
            (None, Some(config), Some(layers)) if is_said(is_manifest) => {
                let config = Descriptor::try_from(config).map_err(Error::manifest)?;
                Ok(Self::Manifest(Manifest { config, layers: descriptors(layers)? }))
            }
            (None, None, None) => Err(Error::manifest("it has neither config and layers nor manifests")),
            _ => Err(Error::manifest(format!(
                "its fields do not go together with each other or with media type {media_type:?}"
            ))),
        }
    }
}

fn descriptors(raw: Vec<RawDescriptor>) -> Result<Vec<Descriptor>, Error> {
    raw.into_iter().map(|raw| Descriptor::try_from(raw).map_err(Error::manifest)).collect()
}

impl Index {
    /// The entry for this platform: the highest variant that the processor runs.
    ///
    /// # Errors
    /// `Platform` when there is none.
    pub fn choose(&self) -> Result<&Descriptor, Error> {
        self.fitting(processor_level()).first().copied().ok_or_else(|| self.for_others())
    }

    /// The entries that a processor of this level runs, the highest variant first; equal ones in
    /// the index's order. Without any, the entries without a platform (it is optional,
    /// image-index.md): the image's config decides then.
    pub fn fitting(&self, processor: u8) -> Vec<&Descriptor> {
        let fits = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|platform| platform.fits(processor));
        let mut fitting: Vec<_> = self.manifests.iter().filter(fits).collect();
        fitting.sort_by_key(|entry| std::cmp::Reverse(entry.platform.as_ref().and_then(Platform::level)));
        if fitting.is_empty() {
            let says_nothing = |entry: &&Descriptor| entry.platform.as_ref().is_none_or(Platform::is_empty);
            fitting.extend(self.manifests.iter().filter(says_nothing));
        }
        fitting
    }

    fn for_others(&self) -> Error {
        let mut has: Vec<String> = self
            .manifests
            .iter()
            .filter_map(|m| m.platform.as_ref())
            // Build attestations are listed under this name.
            .filter(|p| p.os != "unknown")
            .map(Platform::name)
            .collect();
        has.sort();
        has.dedup();
        if has.is_empty() {
            has.push("no platform at all".into());
        }
        Error::Platform { has }
    }
}

impl Manifest {
    /// Checks that everything in it is of a kind that can run.
    ///
    /// # Errors
    /// `NotAnImage`, `Encrypted`.
    pub fn check(&self) -> Result<(), Error> {
        // Old pushes of docker declare a default type for the config; their layers say what it is.
        let is_old = is_unspecific(&self.config.media_type)
            && !self.layers.is_empty()
            && self.layers.iter().all(|layer| is_docker_layer(&layer.media_type));
        if !is_old && !is_config(&self.config.media_type) {
            return Err(Error::NotAnImage {
                what: format!("config {}", self.config.digest),
                media_type: self.config.media_type.clone(),
            });
        }
        self.layers.iter().try_for_each(check_layer)
    }

    /// The OCI manifest's JSON, with its fields in alphabetical order.
    pub fn to_json(&self) -> Vec<u8> {
        let layers: Vec<_> = self.layers.iter().map(Descriptor::to_value).collect();
        let config = self.config.to_value();
        json!({ "config": config, "layers": layers, "mediaType": OCI_MANIFEST, "schemaVersion": 2 }).to_string().into()
    }

    /// Compressed bytes of config and layers.
    pub fn size_bytes(&self) -> u64 {
        self.layers.iter().fold(self.config.size, |sum, layer| sum.saturating_add(layer.size))
    }
}

fn check_layer(layer: &Descriptor) -> Result<(), Error> {
    let (digest, media_type) = (layer.digest.clone(), layer.media_type.clone());
    if is_encrypted_layer(&media_type) {
        Err(Error::Encrypted { digest, media_type })
    } else if is_layer(&media_type) || layer.is_foreign() {
        Ok(())
    } else {
        Err(Error::NotAnImage { what: format!("layer {digest}"), media_type })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media_type::{CONFIGS, LAYERS, OCI_INDEX};
    use crate::references;

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

    fn checked(bytes: &[u8]) -> Result<Manifest, Error> {
        match Document::read(bytes)? {
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
        match Document::read(bytes.as_bytes()) {
            Ok(Document::Index(index)) => index,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_families_of_media_types_are_read() {
        for config_type in CONFIGS {
            let layers: Vec<_> = LAYERS.iter().map(|t| layer(t)).collect();
            assert_eq!(checked(&manifest(config_type, &layers)).map(|m| m.size_bytes()), Ok(3 + 7 * 6));
        }
    }

    #[test]
    fn a_config_of_an_old_push_is_known_by_its_layers() {
        let docker = layer("application/vnd.docker.image.rootfs.diff.tar.gzip");
        for config_type in ["application/octet-stream", ""] {
            assert!(checked(&manifest(config_type, std::slice::from_ref(&docker))).is_ok(), "{config_type:?}");
            for layers in [vec![], vec![docker.clone(), layer(LAYERS[0])]] {
                let refused = checked(&manifest(config_type, &layers));
                assert!(matches!(refused, Err(Error::NotAnImage { .. })), "{config_type:?}: {refused:?}");
            }
        }
    }

    #[test]
    fn layers_that_cannot_be_unpacked_are_refused_by_kind() {
        let with = |media_type: &str| checked(&manifest(CONFIGS[0], &[layer(media_type)]));
        // Their availability is checked when they are fetched.
        for (family, kinds) in [
            ("application/vnd.oci.image.layer.nondistributable.v1.tar", &["", "+gzip", "+zstd"][..]),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar", &["", ".gzip"]),
        ] {
            assert!(kinds.iter().all(|kind| with(&format!("{family}{kind}")).is_ok()));
        }
        let encrypted = with("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
        assert!(matches!(encrypted, Err(Error::Encrypted { .. })));
        let encrypted = with("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip+encrypted");
        assert!(matches!(encrypted, Err(Error::Encrypted { .. })));
        assert!(matches!(with("text/plain"), Err(Error::NotAnImage { .. })));
        let chart = checked(&manifest("application/vnd.cncf.helm.config.v1+json", &[]));
        assert!(matches!(chart, Err(Error::NotAnImage { .. })));
    }

    #[test]
    fn fields_that_matter_to_nobody_here_may_be_odd() {
        let mut value: serde_json::Value = serde_json::from_slice(&manifest(CONFIGS[0], &[])).expect("made above");
        value["annotations"] = json!({"a": 1});
        value["subject"] = json!("none");
        value["artifactType"] = json!(7);
        assert!(matches!(Document::read(value.to_string().as_bytes()), Ok(Document::Manifest(_))));
        let fields = Fields::read(value.to_string().as_bytes()).expect("its shape is a manifest's");
        assert!(fields.annotations().is_err() && fields.subject().is_err() && fields.artifact_type().is_err());
    }

    #[test]
    fn what_is_written_is_read_again_and_is_always_the_same() {
        let of = |media_type: &str, fill: char| Descriptor::new(media_type, digest(fill).parse().expect("valid"), 7);
        let written = Manifest { config: of(CONFIGS[0], 'a'), layers: vec![of(LAYERS[1], 'b')] };
        assert_eq!(Document::read(&written.to_json()), Ok(Document::Manifest(written.clone())));
        let one = |media_type: &str, fill: char| {
            format!(r#"{{"digest":"{}","mediaType":"{media_type}","size":7}}"#, digest(fill))
        };
        let (config, layer) = (one(CONFIGS[0], 'a'), one(LAYERS[1], 'b'));
        let rest = format!(r#""mediaType":"{OCI_MANIFEST}","schemaVersion":2"#);
        let expected = format!(r#"{{"config":{config},"layers":[{layer}],{rest}}}"#);
        assert_eq!(String::from_utf8(written.to_json()).expect("JSON"), expected);
    }

    #[test]
    fn schema_one_is_named() {
        let bytes = json!({"schemaVersion": 1, "name": "a", "fsLayers": [], "history": []}).to_string();
        assert_eq!(Document::read(bytes.as_bytes()), Err(Error::SchemaOne));
    }

    #[test]
    fn a_document_that_is_manifest_and_index_at_once_is_refused() {
        let mut value: serde_json::Value = serde_json::from_slice(&manifest(CONFIGS[0], &[])).expect("made above");
        value["manifests"] = json!([]);
        assert!(matches!(Document::read(value.to_string().as_bytes()), Err(Error::Invalid { .. })));
        let wrong_type =
            json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "config": layer("x"), "layers": []}).to_string();
        assert!(matches!(Document::read(wrong_type.as_bytes()), Err(Error::Invalid { .. })));
    }

    #[test]
    fn an_index_gives_the_baseline_of_the_platform() {
        assert!(index(&[("linux", "arm64", Some("v8")), ("linux", "amd64", None)]).choose().is_ok());
        let error = index(&[("linux", "arm64", Some("v8")), ("windows", "amd64", None), ("unknown", "unknown", None)])
            .choose()
            .expect_err("nothing fits");
        assert_eq!(error, Error::Platform { has: vec!["linux/arm64/v8".into(), "windows/amd64".into()] });
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
        let error = Error::Platform { has: vec!["linux/amd64/v9".into()] }.to_string();
        assert!(error.contains("this processor runs variants up to v"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Document::read(&bytes);
            let _ = references(&bytes);
        }

        #[test]
        fn what_a_manifest_names_is_what_its_references_name(sizes in proptest::collection::vec(0u64..1 << 40, 0..20)) {
            let layers: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(i, size)| {
                    json!({"mediaType": LAYERS[i % 6], "digest": format!("sha256:{i:064x}"), "size": size})
                })
                .collect();
            let bytes = manifest(CONFIGS[0], &layers);
            let read = checked(&bytes).expect("valid");
            prop_assert_eq!(read.size_bytes(), 3 + sizes.iter().sum::<u64>());
            let names = references(&bytes);
            prop_assert_eq!(names.config, Some(read.config.digest));
            prop_assert_eq!(names.blobs, read.layers.into_iter().map(|l| l.digest).collect::<Vec<_>>());
        }
    }
}
