//! Reads an OCI image layout (image-spec 1.1, image-layout.md).

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;
use types::Digest;

use super::content::{Blob, BlobData, Content, Manifest, digest_of};
use crate::failure::{Exit, Failure};

/// How deep indexes may lie in each other.
const DEPTH_MAX: usize = 4;

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ImageManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Descriptor {
    fn name(&self) -> Option<&str> {
        let keys = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];
        keys.iter().find_map(|key| self.annotations.get(*key)).map(String::as_str)
    }

    fn is_index(&self) -> bool {
        self.media_type.contains("index") || self.media_type.contains("manifest.list")
    }
}

/// Reads the image of a layout; `select` is its reference name when there are several.
pub fn read(folder: &Path, select: Option<&str>) -> anyhow::Result<Content> {
    let file = folder.join("index.json");
    let text = std::fs::read(&file).map_err(|_| {
        Failure::new(
            Exit::Usage,
            format!("{} is not an OCI layout: it has no index.json", folder.display()),
            "For a folder of files to make an image of, use --from-dir.",
        )
    })?;
    let index: Index = serde_json::from_slice(&text).with_context(|| format!("{} is not an index", file.display()))?;
    let chosen = choose(&index.manifests, select)?;
    let mut reader = Reader { folder, seen: HashSet::new(), blobs: Vec::new(), manifests: Vec::new() };
    reader.add_manifest(&chosen, 0)?;
    Ok(Content { blobs: reader.blobs, manifests: reader.manifests, unpacked: None })
}

fn choose(manifests: &[Descriptor], select: Option<&str>) -> anyhow::Result<Descriptor> {
    let matches = |d: &&Descriptor| match (select, d.name()) {
        (None, _) => true,
        (Some(wanted), Some(name)) => name == wanted || name.ends_with(&format!(":{wanted}")),
        (Some(_), None) => false,
    };
    let found: Vec<&Descriptor> = manifests.iter().filter(matches).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Failure::new(
            Exit::NotFound,
            format!("the layout holds no image {}", select.unwrap_or_default()),
            format!("It holds: {}.", names(manifests)),
        )
        .into()),
        _ => Err(Failure::new(
            Exit::Usage,
            "the layout holds several images",
            format!("Choose one with --select; it holds: {}.", names(manifests)),
        )
        .into()),
    }
}

fn names(manifests: &[Descriptor]) -> String {
    let names: Vec<&str> = manifests.iter().map(|d| d.name().unwrap_or(d.digest.as_str())).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

struct Reader<'a> {
    folder: &'a Path,
    seen: HashSet<Digest>,
    blobs: Vec<Blob>,
    manifests: Vec<Manifest>,
}

impl Reader<'_> {
    fn add_manifest(&mut self, descriptor: &Descriptor, depth: usize) -> anyhow::Result<()> {
        if depth > DEPTH_MAX {
            return Err(Failure::new(Exit::Usage, "the layout's indexes lie too deep in each other", "").into());
        }
        if !self.seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        let bytes = self.manifest_bytes(descriptor)?;
        if descriptor.is_index() {
            let index: Index = serde_json::from_slice(&bytes)
                .with_context(|| format!("index {} cannot be read", descriptor.digest))?;
            for child in &index.manifests {
                self.add_manifest(child, depth + 1)?;
            }
        } else {
            let manifest: ImageManifest = serde_json::from_slice(&bytes)
                .with_context(|| format!("manifest {} cannot be read", descriptor.digest))?;
            for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
                self.add_blob(blob)?;
            }
        }
        self.manifests.push(Manifest { media_type: descriptor.media_type.clone(), bytes });
        Ok(())
    }

    fn manifest_bytes(&self, descriptor: &Descriptor) -> anyhow::Result<Vec<u8>> {
        let file = self.blob_file(&descriptor.digest);
        let bytes = std::fs::read(&file).with_context(|| format!("the layout lacks {}", descriptor.digest))?;
        if digest_of(&bytes) != descriptor.digest {
            return Err(corrupt(&descriptor.digest));
        }
        Ok(bytes)
    }

    fn add_blob(&mut self, descriptor: &Descriptor) -> anyhow::Result<()> {
        if !self.seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        let file = self.blob_file(&descriptor.digest);
        let found = std::fs::metadata(&file).with_context(|| format!("the layout lacks blob {}", descriptor.digest))?;
        if found.len() != descriptor.size {
            return Err(corrupt(&descriptor.digest));
        }
        // The registry checks the digest as the bytes arrive; hashing them here as well would only cost time.
        self.blobs.push(Blob { digest: descriptor.digest.clone(), size: descriptor.size, data: BlobData::File(file) });
        Ok(())
    }

    fn blob_file(&self, digest: &Digest) -> std::path::PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }
}

fn corrupt(digest: &Digest) -> anyhow::Error {
    Failure::new(Exit::Usage, format!("blob {digest} of the layout is corrupt"), "Write the layout again.").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(name: Option<&str>) -> Descriptor {
        let annotations = name.map(|n| ("org.opencontainers.image.ref.name".to_owned(), n.to_owned()));
        Descriptor {
            media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
            digest: digest_of(name.unwrap_or_default().as_bytes()),
            size: 1,
            annotations: annotations.into_iter().collect(),
        }
    }

    #[test]
    fn the_only_image_needs_no_choice() {
        assert!(choose(&[descriptor(None)], None).is_ok());
    }

    #[test]
    fn one_of_several_images_is_chosen_by_tag_or_name() {
        let both = [descriptor(Some("a:v1")), descriptor(Some("v2"))];
        assert!(choose(&both, None).expect_err("ambiguous").to_string().contains("several"));
        assert_eq!(choose(&both, Some("v1")).expect("found").name(), Some("a:v1"));
        assert_eq!(choose(&both, Some("v2")).expect("found").name(), Some("v2"));
        assert!(choose(&both, Some("v3")).is_err());
    }
}
