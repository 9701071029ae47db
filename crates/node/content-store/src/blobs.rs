//! Blobs on disk, by digest. Every function blocks. Lookups touch the item first (see `gc_roots`).

use std::fs;
use std::io;

use bytes::Bytes;
use oci::digest_of;
use types::Digest;

use crate::gc_roots::{GcRoots, Item};
use crate::layout::Layout;
use crate::{Config, Error};

/// The blobs of one store; clones share it.
#[derive(Clone)]
pub(crate) struct Blobs {
    layout: Layout,
    roots: GcRoots,
    manifest_bytes_max: u64,
    config_bytes_max: u64,
}

impl Blobs {
    pub(crate) fn new(layout: Layout, roots: GcRoots, config: &Config) -> Self {
        let Config { manifest_bytes_max, config_bytes_max, .. } = *config;
        Self { layout, roots, manifest_bytes_max, config_bytes_max }
    }

    /// All blobs on disk.
    pub(crate) fn list(&self) -> Result<Vec<Item>, Error> {
        let dir = self.layout.blobs();
        let failed = |e| Error::io("list", &dir, e);
        let mut blobs = Vec::new();
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let digest = name.to_str().and_then(|name| format!("sha256:{name}").parse().ok());
            blobs.extend(digest.map(Item::Blob));
        }
        Ok(blobs)
    }

    /// Reads a manifest or an index, and checks its digest.
    pub(crate) fn read_document(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        self.read(digest, self.manifest_bytes_max)
    }

    /// Reads an image's config, and checks its digest.
    pub(crate) fn read_config(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        self.read(digest, self.config_bytes_max)
    }

    /// Length of a blob in bytes; `None` when it does not exist.
    pub(crate) fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let item = Item::Blob(digest.clone());
        let touch = self.roots.touch(item.clone());
        let path = self.layout.blob(digest);
        match fs::metadata(&path) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.roots.untouch(&item, &touch);
                Ok(None)
            }
            Err(error) => Err(Error::io("look at", &path, error)),
        }
    }

    /// Opens a blob, and returns its length; `None` when it does not exist.
    pub(crate) fn open(&self, digest: &Digest) -> Result<Option<(fs::File, u64)>, Error> {
        let item = Item::Blob(digest.clone());
        let touch = self.roots.touch(item.clone());
        let path = self.layout.blob(digest);
        let opened = fs::File::open(&path).and_then(|file| {
            let size = file.metadata()?.len();
            Ok((file, size))
        });
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.roots.untouch(&item, &touch);
                Ok(None)
            }
            Err(error) => Err(Error::io("open", &path, error)),
        }
    }

    /// Reads a small blob as a whole, and checks its digest; `None` when it does not exist.
    pub(crate) fn read(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        let Some((mut file, size)) = self.open(digest)? else { return Ok(None) };
        if size > bytes_max {
            return Err(Error::ContentTooLarge { digest: digest.clone(), size, limit: bytes_max });
        }
        let path = self.layout.blob(digest);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        io::Read::read_to_end(&mut file, &mut bytes).map_err(|e| Error::io("read", &path, e))?;
        if digest_of(&bytes) != *digest {
            return Err(Error::Damaged { digest: digest.clone(), path });
        }
        Ok(Some(bytes.into()))
    }
}
