//! Fixtures: images made in memory, a store in a temporary directory, and a registry in this
//! process with injected faults.
#![allow(dead_code)] // Each test binary uses a part of it.

pub mod registry;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use image::{Config, Images, PrepareRequest, Prepared, Progress};
use registry_client::Anonymous;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use types::Digest;

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(bytes).into())
}

/// One layer: its compressed form, and its diff id.
#[derive(Clone)]
pub struct Layer {
    pub blob: Bytes,
    pub diff_id: Digest,
}

/// Wraps bytes that are not a layer as a layer's blob.
pub fn layer_of(blob: &[u8], diff_id: &Digest) -> Layer {
    Layer { blob: Bytes::copy_from_slice(blob), diff_id: diff_id.clone() }
}

/// Creates a layer with these entries; a name that ends with `/` is a directory, one with `=>` a
/// hard link.
pub fn layer(entries: &[(&str, &str)]) -> Layer {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(0);
        if let Some((name, target)) = name.split_once("=>") {
            header.set_entry_type(tar::EntryType::Link);
            tar.append_link(&mut header, name, target).expect("a link");
        } else if name.ends_with('/') {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_cksum();
            tar.append_data(&mut header, name, std::io::empty()).expect("a directory");
        } else {
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append_data(&mut header, name, content.as_bytes()).expect("a file");
        }
    }
    let tar = tar.into_inner().expect("memory takes all");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &tar).expect("memory takes all");
    Layer { blob: gzip.finish().expect("memory takes all").into(), diff_id: digest(&tar) }
}

/// Incompressible text, so that blobs have a size.
pub fn noise(bytes: usize, seed: u64) -> String {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).expect("below 90"))
    };
    (0..bytes).map(|_| next()).collect()
}

/// An image: its manifest, and every blob it names.
#[derive(Clone)]
pub struct TestImage {
    pub manifest: Value,
    pub config: Bytes,
    pub layers: Vec<Layer>,
}

pub fn image(layers: &[Layer]) -> TestImage {
    image_for("linux", "amd64", layers)
}

pub fn image_for(os: &str, architecture: &str, layers: &[Layer]) -> TestImage {
    let diff_ids: Vec<_> = layers.iter().map(|l| l.diff_id.as_str()).collect();
    let config = json!({"os": os, "architecture": architecture,
        "config": {"Cmd": ["/hello"], "Env": ["A=b"], "User": "7"},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = Bytes::from(config.to_string());
    let described = |media_type: &str, bytes: &Bytes| {
        let digest = digest(bytes);
        json!({"mediaType": media_type, "digest": digest.as_str(), "size": bytes.len()})
    };
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": described(CONFIG, &config),
        "layers": layers.iter().map(|l| described(LAYER, &l.blob)).collect::<Vec<_>>()});
    TestImage { manifest, config, layers: layers.to_vec() }
}

impl TestImage {
    pub fn manifest_bytes(&self) -> Bytes {
        self.manifest.to_string().into()
    }

    pub fn digest(&self) -> Digest {
        digest(&self.manifest_bytes())
    }

    pub fn blobs(&self) -> Vec<Bytes> {
        self.layers.iter().map(|l| l.blob.clone()).chain([self.config.clone()]).collect()
    }
}

/// An index of manifests, each with its platform.
pub fn index(entries: &[(&str, &str, &TestImage)]) -> Bytes {
    let manifests: Vec<_> = entries
        .iter()
        .map(|(os, architecture, image)| {
            json!({"mediaType": MANIFEST, "digest": image.digest().as_str(), "size": image.manifest_bytes().len(),
                "platform": {"os": os, "architecture": architecture}})
        })
        .collect();
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).to_string().into()
}

/// Limits that make failures quick.
pub fn config() -> Config {
    Config {
        retry_pause_ms: 1,
        retry_pause_ms_max: 50,
        retries_max: 3,
        read_idle_timeout_s: 5,
        grace_s: 0,
        start_keep_s: 0,
        unpinned_bytes_max: 0,
        ..Config::default()
    }
}

pub struct Store {
    /// Dropped before the directory, in which it may have mounts.
    pub images: Images,
    pub dir: tempfile::TempDir,
}

pub async fn store() -> Store {
    store_with(config()).await
}

pub async fn store_with(config: Config) -> Store {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let images = Images::open(dir.path(), config, Arc::new(Anonymous)).await.expect("an empty directory can be opened");
    Store { dir, images }
}

impl Store {
    /// Drops all state in memory, as a crash would.
    pub async fn restart(self, config: Config) -> Self {
        let Self { dir, images } = self;
        images.shutdown().await;
        drop(images);
        let images = Images::open(dir.path(), config, Arc::new(Anonymous)).await.expect("what was there can be opened");
        Self { dir, images }
    }

    pub async fn prepare(&self, image: &str) -> Result<Prepared, image::Error> {
        self.images.prepare(request(image, "test/owner")).await
    }

    /// Names of the entries of a directory of the store.
    pub fn list(&self, dir: &str) -> Vec<String> {
        list(&self.dir.path().join(dir))
    }

    /// Asserts that no drafts are left. A cancelled thread ends, and cleans up, a moment later.
    pub async fn assert_clean(&self) {
        let clean = async {
            while !self.list("drafts").is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), clean).await;
        assert!(waited.is_ok(), "{:?} stay", self.list("drafts"));
    }

    /// Stores an image as a push would.
    pub async fn push(&self, image: &TestImage) {
        for blob in image.blobs().into_iter().chain([image.manifest_bytes()]) {
            self.images.content().put(&digest(&blob), blob).await.expect("room for it");
        }
    }
}

pub fn list(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let mut names: Vec<_> = entries.map(|e| e.expect("readable").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

pub fn request(image: &str, owner: &str) -> PrepareRequest {
    PrepareRequest {
        image: image.parse().expect("a reference"),
        registry_id: None,
        owner: owner.into(),
        progress: Arc::new(|_| ()),
    }
}

/// A request whose progress reports are recorded.
pub fn watched(image: &str) -> (PrepareRequest, Arc<Mutex<Vec<Progress>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    let progress = Arc::new(move |progress| sink.lock().expect("nobody panics").push(progress));
    (PrepareRequest { progress, ..request(image, "test/owner") }, seen)
}
