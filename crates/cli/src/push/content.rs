//! Content of an image to push: blobs, and manifests with children before parents.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use oci::media_type::OCI_MANIFEST;
use oci::{Descriptor, digest_of};
use sha2::{Digest as _, Sha256};
use types::Digest;

/// Length of the buffer for hashing a file.
const HASH_BUFFER_BYTES: usize = 256 * 1024;

/// Everything that a push sends.
pub struct Content {
    /// Layers and configs, without duplicates.
    pub blobs: Vec<Blob>,
    /// Manifests and indexes; the last one is tagged.
    pub manifests: Vec<Manifest>,
    /// What is not pushed: platforms in the source's index whose content is missing, or special
    /// files of a directory.
    pub left_out: Vec<String>,
    /// Temporary directory of the blobs' files, if this push made one; removed when dropped.
    pub unpacked: Option<tempfile::TempDir>,
}

/// A manifest or index, with the exact bytes that its digest covers.
pub struct Manifest {
    /// Media type of the upload.
    pub media_type: String,
    /// Content.
    pub bytes: Vec<u8>,
}

impl Manifest {
    /// Serializes an image's manifest.
    pub fn of(manifest: &oci::Manifest) -> Self {
        Self { media_type: OCI_MANIFEST.to_owned(), bytes: manifest.to_json() }
    }
}

/// A layer or config.
#[derive(Clone)]
pub struct Blob {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// The bytes, or their file.
    pub data: BlobData,
}

/// Storage of a blob's bytes.
#[derive(Clone)]
pub enum BlobData {
    /// In a file of exactly these bytes.
    File(PathBuf),
    /// In memory (configs).
    Bytes(bytes::Bytes),
}

impl Blob {
    /// Makes a blob in memory.
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        let digest = digest_of(&bytes);
        Self { digest, size: bytes.len() as u64, data: BlobData::Bytes(bytes.into()) }
    }

    /// Descriptor of the blob for a manifest.
    pub fn descriptor(&self, media_type: &str) -> Descriptor {
        Descriptor::new(media_type, self.digest.clone(), self.size)
    }

    /// Makes a blob of a file; reads the file once for its digest.
    pub fn of_file(file: &Path) -> anyhow::Result<Self> {
        let mut from = std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        let (mut hasher, mut size) = (Sha256::new(), 0);
        let mut buffer = vec![0; HASH_BUFFER_BYTES];
        loop {
            let read = from.read(&mut buffer).with_context(|| format!("cannot read {}", file.display()))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            size += read as u64;
        }
        let digest = Digest::from_sha256(&hasher.finalize().into());
        Ok(Self { digest, size, data: BlobData::File(file.to_owned()) })
    }
}
