//! Images put together from the tars of their layers: every format and compression, and, because all that a manifest
//! says can be changed before it is sealed, every lie. Must not know how an image travels.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::blob::{self, Blob};

/// How the layers of an image are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// As nearly all images.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// In which words an image is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An OCI manifest.
    Oci,
    /// An OCI index with a manifest for this machine, behind one for another.
    OciIndex,
    /// Docker's image manifest version 2, schema 2.
    Docker,
}

/// A layer: what a registry sends, and what manifest and config say about it.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What is sent.
    pub blob: Blob,
    /// Digest by the manifest.
    pub digest: String,
    /// Bytes by the manifest.
    pub size: u64,
    /// Digest of the tar by the config.
    pub diff_id: String,
    /// How it is compressed, by its media type.
    pub compression: Compression,
    /// Another media type than that.
    pub media_type: Option<String>,
}

impl Layer {
    /// A layer that is what it says.
    pub fn new(tar: &[u8], compression: Compression) -> anyhow::Result<Self> {
        Ok(Self::of_blob(Blob::new(compress(tar, compression)?), &blob::digest(tar), compression))
    }

    /// A layer for each tar; the compressions take turns.
    pub fn stack(tars: &[impl AsRef<[u8]>], compressions: &[Compression]) -> anyhow::Result<Vec<Self>> {
        tars.iter().zip(compressions.iter().cycle()).map(|(tar, by)| Self::new(tar.as_ref(), *by)).collect()
    }

    /// A layer of any bytes.
    pub fn of_blob(blob: Blob, diff_id: &str, compression: Compression) -> Self {
        let (digest, size) = (blob.digest.clone(), blob.size);
        Self { blob, digest, size, diff_id: diff_id.to_owned(), compression, media_type: None }
    }
}

/// Compresses as tools do when they are in a hurry.
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
    /// The document that a tag names comes first.
    pub documents: Vec<Document>,
    /// Config and layers, by the digest that the manifest says.
    pub blobs: Vec<(String, Blob)>,
}

/// A config for this machine with a command.
pub fn config(entrypoint: &[&str]) -> Value {
    json!({"architecture": "amd64", "os": "linux", "config": {
        "Entrypoint": entrypoint, "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}})
}

impl Image {
    /// Describes layers, lowest first, under a config whose `rootfs` is filled in here.
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

    /// Digest that a tag of this image means.
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

/// An index whose first entry is for another machine, and names nothing that there is.
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
