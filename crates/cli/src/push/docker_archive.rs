//! Reads a docker archive (`docker save`, `podman save`) as an OCI image: the config is unchanged,
//! the layers are uncompressed tars.

use std::path::{Component, Path, PathBuf};

use anyhow::Context;
use oci::Compression;
use oci::media_type::{OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};
use serde::Deserialize;

use super::content::{Blob, Content, Manifest};
use crate::failure::{Exit, Failure};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Reads the image of an unpacked docker archive; `select` is a tag if there are several images.
pub fn read(folder: &Path, select: Option<&str>) -> anyhow::Result<Content> {
    let text = std::fs::read(folder.join("manifest.json")).context("cannot read the archive's manifest.json")?;
    let images: Vec<Image> = serde_json::from_slice(&text).context("the archive's manifest.json cannot be read")?;
    let image = choose(images, select)?;
    let config = std::fs::read(inside(folder, &image.config)?)
        .with_context(|| format!("the archive lacks its config {}", image.config))?;
    let mut blobs = vec![Blob::of_bytes(config)];
    for layer in &image.layers {
        blobs.push(Blob::of_file(&inside(folder, layer)?)?);
    }
    let manifest = oci::Manifest {
        config: blobs[0].descriptor(OCI_CONFIG),
        layers: blobs[1..].iter().map(|blob| blob.descriptor(layer_media_type(blob))).collect(),
    };
    let mut seen = std::collections::HashSet::new();
    blobs.retain(|blob| seen.insert(blob.digest.clone()));
    Ok(Content { blobs, manifests: vec![Manifest::of(&manifest)], left_out: Vec::new(), unpacked: None })
}

/// Media type of a layer by its first bytes: some writers compress layers.
fn layer_media_type(blob: &Blob) -> &'static str {
    use std::io::Read;
    let super::content::BlobData::File(file) = &blob.data else { return OCI_LAYER };
    let mut magic = Vec::new();
    let bytes = Compression::MAGIC_BYTES as u64;
    // A read error is reported when the blob is sent.
    let _ = std::fs::File::open(file).and_then(|file| file.take(bytes).read_to_end(&mut magic));
    match Compression::of(&magic) {
        Compression::Gzip => OCI_LAYER_GZIP,
        Compression::Zstd => OCI_LAYER_ZSTD,
        Compression::None | Compression::Unknown(_) => OCI_LAYER,
    }
}

fn choose(mut images: Vec<Image>, select: Option<&str>) -> anyhow::Result<Image> {
    let tags = |image: &Image| image.repo_tags.clone().unwrap_or_default();
    let all: Vec<String> = images.iter().flat_map(tags).collect();
    if let Some(wanted) = select {
        images.retain(|i| tags(i).iter().any(|t| t == wanted || t.ends_with(&format!(":{wanted}"))));
    }
    match (images.len(), select) {
        (1, _) => Ok(images.remove(0)),
        (0, _) => Err(Failure::new(
            Exit::NotFound,
            format!("the archive holds no image {}", select.unwrap_or_default()),
            format!("It holds: {}.", all.join(", ")),
        )
        .into()),
        _ => Err(Failure::new(
            Exit::Usage,
            "the archive holds several images",
            format!("Choose one with --select; it holds: {}.", all.join(", ")),
        )
        .into()),
    }
}

/// Path of an archive's file, which must be inside the directory that it was unpacked to.
fn inside(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let file = folder.join(name);
    let real = file.canonicalize().with_context(|| format!("the archive lacks {name}"))?;
    if !plain || !real.starts_with(folder.canonicalize()?) {
        return Err(Failure::new(Exit::Usage, format!("the archive names {name}, which lies outside it"), "").into());
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_image_becomes_an_oci_image_with_the_same_config() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("c.json"), b"{\"architecture\":\"amd64\"}").expect("written");
        std::fs::write(dir.path().join("l.tar"), b"tar").expect("written");
        let manifest = r#"[{"Config":"c.json","RepoTags":["a:v1"],"Layers":["l.tar"]}]"#;
        std::fs::write(dir.path().join("manifest.json"), manifest).expect("written");
        let content = read(dir.path(), Some("v1")).expect("read");
        assert_eq!(content.blobs.len(), 2);
        let text = String::from_utf8(content.manifests[0].bytes.clone()).expect("JSON");
        assert!(text.contains("layer.v1.tar\""), "{text}");
    }

    #[test]
    fn an_archive_that_names_a_file_outside_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let manifest = r#"[{"Config":"../../etc/hostname","RepoTags":null,"Layers":[]}]"#;
        std::fs::write(dir.path().join("manifest.json"), manifest).expect("written");
        assert!(read(dir.path(), None).is_err());
    }
}
