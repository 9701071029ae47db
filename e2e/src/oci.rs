//! Builds images from layer tars in every format and compression; any field can be falsified before
//! the manifest is serialised.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::blob::{self, Blob};

/// Compression of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// None.
    Plain,
    /// gzip, the most common.
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// Document format of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An OCI manifest.
    Oci,
    /// An OCI index with a manifest for this platform, behind one for another.
    OciIndex,
    /// Docker's image manifest version 2, schema 2.
    Docker,
}

/// A layer: the blob, and its fields in manifest and config.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The blob that is sent.
    pub blob: Blob,
    /// Digest in the manifest.
    pub digest: String,
    /// Size in the manifest.
    pub size: u64,
    /// Diff id in the config.
    pub diff_id: String,
    /// Compression in its media type.
    pub compression: Compression,
    /// Overrides the media type.
    pub media_type: Option<String>,
}

impl Layer {
    /// A correct layer.
    pub fn new(tar: &[u8], compression: Compression) -> anyhow::Result<Self> {
        Ok(Self::of_blob(Blob::new(compress(tar, compression)?), &blob::digest(tar), compression))
    }

    /// A layer for each tar, cycling through the compressions.
    pub fn stack(tars: &[impl AsRef<[u8]>], compressions: &[Compression]) -> anyhow::Result<Vec<Self>> {
        tars.iter().zip(compressions.iter().cycle()).map(|(tar, by)| Self::new(tar.as_ref(), *by)).collect()
    }

    /// A layer of arbitrary bytes.
    pub fn of_blob(blob: Blob, diff_id: &str, compression: Compression) -> Self {
        let (digest, size) = (blob.digest.clone(), blob.size);
        Self { blob, digest, size, diff_id: diff_id.to_owned(), compression, media_type: None }
    }
}

/// Compresses at the fastest level.
pub fn compress(bytes: &[u8], compression: Compression) -> anyhow::Result<Vec<u8>> {
    match compression {
        Compression::Plain => Ok(bytes.to_vec()),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes)?;
            Ok(encoder.finish()?)
        }
        Compression::Zstd => Ok(zstd::bulk::compress(bytes, 1)?),
    }
}

/// A manifest or an index.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes.
    pub blob: Blob,
}

/// A whole image.
#[derive(Debug, Clone)]
pub struct Image {
    /// All documents; a tag refers to the first one.
    pub documents: Vec<Document>,
    /// Config and layers, by their digests in the manifest.
    pub blobs: Vec<(String, Blob)>,
}

/// A config for this platform with an entrypoint.
pub fn config(entrypoint: &[&str]) -> Value {
    json!({"architecture": "amd64", "os": "linux", "config": {
        "Entrypoint": entrypoint, "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}})
}

impl Image {
    /// An image of layers, lowest first, with a config whose `rootfs` is filled in.
    pub fn new(format: Format, mut config: Value, layers: &[Layer]) -> Self {
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = Blob::new(config.to_string());
        let (manifest_type, config_type) = match format {
            Format::Oci | Format::OciIndex => (OCI_MANIFEST, "application/vnd.oci.image.config.v1+json"),
            Format::Docker => (DOCKER_MANIFEST, "application/vnd.docker.container.image.v1+json"),
        };
        let described = layers
            .iter()
            .map(|layer| json!({"mediaType": layer_type(layer, format), "digest": layer.digest, "size": layer.size}));
        let manifest = json!({"schemaVersion": 2, "mediaType": manifest_type, "layers": described.collect::<Vec<_>>(),
            "config": {"mediaType": config_type, "digest": config.digest, "size": config.size}});
        let manifest = Document { media_type: manifest_type, blob: Blob::new(manifest.to_string()) };
        let mut blobs = vec![(config.digest.clone(), config)];
        blobs.extend(layers.iter().map(|layer| (layer.digest.clone(), layer.blob.clone())));
        let documents = match format {
            Format::OciIndex => vec![index(&manifest), manifest],
            Format::Oci | Format::Docker => vec![manifest],
        };
        Self { documents, blobs }
    }

    /// The digest to which a tag of this image resolves.
    pub fn digest(&self) -> &str {
        &self.documents[0].blob.digest
    }

    /// Writes it as an OCI layout with one tag.
    pub fn write_layout(&self, folder: &Path, tag: &str) -> anyhow::Result<()> {
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
        let documents = self.documents.iter().map(|document| (&document.blob.digest, &document.blob));
        for (digest, blob) in documents.chain(self.blobs.iter().map(|(digest, blob)| (digest, blob))) {
            std::fs::write(blobs.join(digest.trim_start_matches("sha256:")), blob.bytes())?;
        }
        let top = &self.documents[0];
        let entry = json!({"mediaType": top.media_type, "digest": top.blob.digest, "size": top.blob.size,
            "annotations": {"org.opencontainers.image.ref.name": tag}});
        std::fs::write(folder.join("index.json"), json!({"schemaVersion": 2, "manifests": [entry]}).to_string())?;
        Ok(std::fs::write(folder.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string())?)
    }
}

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn layer_type(layer: &Layer, format: Format) -> String {
    let (base, separator) = match format {
        Format::Oci | Format::OciIndex => ("application/vnd.oci.image.layer.v1.tar", "+"),
        Format::Docker => ("application/vnd.docker.image.rootfs.diff.tar", "."),
    };
    let by_compression = || match layer.compression {
        Compression::Plain => base.to_owned(),
        Compression::Gzip => format!("{base}{separator}gzip"),
        Compression::Zstd => format!("{base}{separator}zstd"),
    };
    layer.media_type.clone().unwrap_or_else(by_compression)
}

/// An index whose first entry is for another platform and refers to an absent manifest.
fn index(manifest: &Document) -> Document {
    let other = Blob::new("the manifest for another machine");
    let entry = |blob: &Blob, architecture: &str| {
        json!({"mediaType": OCI_MANIFEST, "digest": blob.digest, "size": blob.size,
            "platform": {"os": "linux", "architecture": architecture}})
    };
    let media_type = "application/vnd.oci.image.index.v1+json";
    let document = json!({"schemaVersion": 2, "mediaType": media_type,
        "manifests": [entry(&other, "arm64"), entry(&manifest.blob, "amd64")]});
    Document { media_type, blob: Blob::new(document.to_string()) }
}
