//! Reads an OCI image layout (image-spec 1.1, image-layout.md).

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use oci::{Descriptor, Index, Platform, digest_of};
use types::Digest;

use super::content::{Blob, BlobData, Content, Manifest};
use crate::failure::{Exit, Failure};

/// Most levels of nested indexes.
const DEPTH_MAX: usize = 4;

/// Name of an image in the layout's index: the OCI reference name, or that of containerd.
fn name(descriptor: &Descriptor) -> Option<&str> {
    let keys = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];
    keys.iter().find_map(|key| descriptor.annotations.get(*key)).map(String::as_str)
}

fn is_index(descriptor: &Descriptor) -> bool {
    descriptor.media_type.contains("index") || descriptor.media_type.contains("manifest.list")
}

/// Whether a manifest in an index is an attestation, which has the platform `unknown`.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
}

fn is_amd64(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_some_and(|platform| platform.os == "linux" && platform.architecture == "amd64")
}

fn platform_name(descriptor: &Descriptor) -> String {
    descriptor.platform.as_ref().map_or_else(|| descriptor.digest.to_string(), Platform::name)
}

/// Reads the image of a layout; `select` is its reference name if there are several.
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
    let left_out = reader.add_top(&chosen)?;
    Ok(Content { blobs: reader.blobs, manifests: reader.manifests, left_out, unpacked: None })
}

fn choose(manifests: &[Descriptor], select: Option<&str>) -> anyhow::Result<Descriptor> {
    let matches = |d: &&Descriptor| match (select, name(d)) {
        (None, _) => true,
        (Some(wanted), Some(name)) => name == wanted || name.ends_with(&format!(":{wanted}")),
        (Some(_), None) => false,
    };
    let mut seen = HashSet::new();
    // One image may have several names.
    let mut found: Vec<&Descriptor> = manifests.iter().filter(matches).filter(|d| seen.insert(&d.digest)).collect();
    let one_image = found.iter().all(|d| d.platform.is_some() && name(d) == name(found[0]));
    if found.len() > 1 && one_image {
        // The platforms of one image may be listed side by side, without an index of their own.
        found.retain(|d| is_amd64(d));
    }
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
    let names: Vec<&str> = manifests.iter().map(|d| name(d).unwrap_or(d.digest.as_str())).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

struct Reader<'a> {
    folder: &'a Path,
    seen: HashSet<Digest>,
    blobs: Vec<Blob>,
    manifests: Vec<Manifest>,
}

impl Reader<'_> {
    /// Adds the manifest to be tagged. Of an index with missing platforms (an archive of one
    /// platform), only complete ones are added: the image's manifest if only one is complete,
    /// otherwise an index of the complete ones. Returns the missing platforms.
    fn add_top(&mut self, top: &Descriptor) -> anyhow::Result<Vec<String>> {
        if !is_index(top) {
            return self.add_manifest(top, 0).map(|()| Vec::new());
        }
        let bytes = self.manifest_bytes(top)?;
        let index: Index =
            serde_json::from_slice(&bytes).with_context(|| format!("index {} cannot be read", top.digest))?;
        let (whole, missing): (Vec<_>, Vec<_>) = index.manifests.iter().partition(|child| self.is_whole(child, 1));
        if missing.is_empty() {
            return self.add_manifest(top, 0).map(|()| Vec::new());
        }
        let images: Vec<_> = whole.iter().filter(|child| !is_attestation(child)).collect();
        let left_out: Vec<_> =
            missing.iter().filter(|child| !is_attestation(child)).map(|child| platform_name(child)).collect();
        match images.as_slice() {
            [] => return Err(nothing_whole(&left_out)),
            [one] => self.add_manifest(one, 1)?,
            _ => {
                for child in &whole {
                    self.add_manifest(child, 1)?;
                }
                let kept: HashSet<&str> = whole.iter().map(|child| child.digest.as_str()).collect();
                self.manifests.push(Manifest { media_type: top.media_type.clone(), bytes: with_only(&bytes, &kept)? });
            }
        }
        Ok(left_out)
    }

    /// Whether all content that a manifest or index refers to exists. Malformed ones count as
    /// complete: their error is reported when they are added.
    fn is_whole(&self, descriptor: &Descriptor, depth: usize) -> bool {
        let Ok(bytes) = std::fs::read(self.blob_file(&descriptor.digest)) else { return false };
        if depth > DEPTH_MAX {
            return true;
        }
        if is_index(descriptor) {
            let index = serde_json::from_slice::<Index>(&bytes);
            return index.map_or(true, |index| index.manifests.iter().all(|child| self.is_whole(child, depth + 1)));
        }
        let there = |blob: &Descriptor| self.blob_file(&blob.digest).exists();
        let manifest = serde_json::from_slice::<oci::Manifest>(&bytes);
        manifest.map_or(true, |manifest| there(&manifest.config) && manifest.layers.iter().all(there))
    }

    fn add_manifest(&mut self, descriptor: &Descriptor, depth: usize) -> anyhow::Result<()> {
        if depth > DEPTH_MAX {
            return Err(Failure::new(Exit::Usage, "the layout's indexes are nested too deeply", "").into());
        }
        if !self.seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        let bytes = self.manifest_bytes(descriptor)?;
        if is_index(descriptor) {
            let index: Index = serde_json::from_slice(&bytes)
                .with_context(|| format!("index {} cannot be read", descriptor.digest))?;
            for child in &index.manifests {
                self.add_manifest(child, depth + 1)?;
            }
        } else {
            let manifest: oci::Manifest = serde_json::from_slice(&bytes)
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
        // Not hashed here: the registry verifies the digest on arrival.
        self.blobs.push(Blob { digest: descriptor.digest.clone(), size: descriptor.size, data: BlobData::File(file) });
        Ok(())
    }

    fn blob_file(&self, digest: &Digest) -> std::path::PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }
}

/// An index reduced to the manifests with these digests; all other fields are unchanged.
fn with_only(index: &[u8], kept: &HashSet<&str>) -> anyhow::Result<Vec<u8>> {
    let mut index: serde_json::Value = serde_json::from_slice(index)?;
    if let Some(manifests) = index["manifests"].as_array_mut() {
        manifests.retain(|entry| entry["digest"].as_str().is_some_and(|digest| kept.contains(digest)));
    }
    Ok(serde_json::to_vec(&index)?)
}

fn nothing_whole(left_out: &[String]) -> anyhow::Error {
    Failure::new(
        Exit::NotFound,
        format!("the layout has no complete image: parts of {} are missing", left_out.join(", ")),
        "Pull the platform before saving it: docker pull --platform linux/amd64 NAME",
    )
    .into()
}

fn corrupt(digest: &Digest) -> anyhow::Error {
    Failure::new(Exit::Usage, format!("blob {digest} of the layout is corrupt"), "Write the layout again.").into()
}

#[cfg(test)]
mod tests {
    use oci::media_type::{OCI_INDEX, OCI_MANIFEST};

    use super::*;

    fn descriptor(name: Option<&str>) -> Descriptor {
        let annotations = name.map(|n| ("org.opencontainers.image.ref.name".to_owned(), n.to_owned()));
        Descriptor {
            annotations: annotations.into_iter().collect(),
            ..Descriptor::new(OCI_MANIFEST, digest_of(name.unwrap_or_default().as_bytes()), 1)
        }
    }

    /// A layout of an index with children for these platforms; only those that are `there` have all
    /// blobs.
    fn layout(platforms: &[(&str, bool)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = folder.path().join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("made");
        let add = |bytes: &[u8]| {
            let digest = digest_of(bytes);
            std::fs::write(blobs.join(digest.hex()), bytes).expect("written");
            serde_json::json!({"mediaType": "x", "digest": digest.as_str(), "size": bytes.len()})
        };
        let mut children = Vec::new();
        for (architecture, there) in platforms {
            let config = add(architecture.as_bytes());
            let mut layer = add(format!("layer of {architecture}").as_bytes());
            if !there {
                layer["digest"] = digest_of(b"nowhere").as_str().into();
            }
            let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]});
            let mut child = add(manifest.to_string().as_bytes());
            child["mediaType"] = OCI_MANIFEST.into();
            child["platform"] = serde_json::json!({"os": "linux", "architecture": architecture});
            children.push(child);
        }
        let index = serde_json::json!({"schemaVersion": 2, "manifests": children});
        let mut top = add(index.to_string().as_bytes());
        top["mediaType"] = OCI_INDEX.into();
        let top = serde_json::json!({"schemaVersion": 2, "manifests": [top]});
        std::fs::write(folder.path().join("index.json"), top.to_string()).expect("written");
        folder
    }

    #[test]
    fn complete_platforms_of_an_index_are_read() {
        let all = layout(&[("amd64", true), ("arm64", true)]);
        let content = read(all.path(), None).expect("whole");
        assert_eq!((content.manifests.len(), content.blobs.len(), content.left_out.len()), (3, 4, 0));
        let one = layout(&[("amd64", true), ("arm64", false)]);
        let content = read(one.path(), None).expect("one of two");
        assert_eq!((content.manifests.len(), content.blobs.len()), (1, 2));
        assert_eq!(content.left_out, ["linux/arm64"]);
        let two = layout(&[("amd64", true), ("arm64", false), ("s390x", true)]);
        let content = read(two.path(), None).expect("two of three");
        assert_eq!((content.manifests.len(), content.blobs.len()), (3, 4));
        let index: Index = serde_json::from_slice(&content.manifests[2].bytes).expect("an index");
        assert_eq!(index.manifests.iter().map(platform_name).collect::<Vec<_>>(), ["linux/amd64", "linux/s390x"]);
        let none = read(layout(&[("amd64", false)]).path(), None).err().expect("nothing is whole");
        assert!(none.to_string().contains("linux/amd64"), "{none}");
    }

    #[test]
    fn names_and_platforms_of_one_image_need_no_choice() {
        let mut twice = [descriptor(Some("a:v1")), descriptor(Some("a:latest"))];
        twice[1].digest = twice[0].digest.clone();
        assert!(choose(&twice, None).is_ok());
        let mut platforms = [descriptor(Some("a")), descriptor(Some("a"))];
        platforms[1].digest = digest_of(b"another");
        for (one, architecture) in platforms.iter_mut().zip(["arm64", "amd64"]) {
            let (os, architecture) = ("linux".to_owned(), architecture.to_owned());
            one.platform = Some(Platform { os, architecture, variant: None });
        }
        assert_eq!(choose(&platforms, None).expect("this machine's").digest, platforms[1].digest);
    }

    #[test]
    fn the_only_image_needs_no_choice() {
        assert!(choose(&[descriptor(None)], None).is_ok());
    }

    #[test]
    fn one_of_several_images_is_chosen_by_tag_or_name() {
        let both = [descriptor(Some("a:v1")), descriptor(Some("v2"))];
        assert!(choose(&both, None).expect_err("ambiguous").to_string().contains("several"));
        assert_eq!(name(&choose(&both, Some("v1")).expect("found")), Some("a:v1"));
        assert_eq!(name(&choose(&both, Some("v2")).expect("found")), Some("v2"));
        assert!(choose(&both, Some("v3")).is_err());
    }
}
