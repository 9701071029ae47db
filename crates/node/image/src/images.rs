//! The handle of this crate: prepared images by digest. Owns the order of start and stop. Must not know how images are
//! fetched or unpacked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use types::Digest;

use crate::content::layout::Layout;
use crate::content::ledger::{Hold, Pin};
use crate::content::{ContentStore, INDEX_DEPTH_MAX};
use crate::credentials::Credentials;
use crate::gc::{self, CollectTask, Collected};
use crate::image_config::{self, ImageConfig, RunConfig};
use crate::layers::{LayerName, Layers};
use crate::manifest::{self, Document, Manifest, ManifestError};
use crate::prepare::{self, PrepareRequest, Prepared, Workshop};
use crate::rootfs::Rootfs;
use crate::{Config, Error, blocking};

/// All images of a machine; clones are the same.
#[derive(Clone)]
pub struct Images {
    core: Arc<Core>,
    task: Arc<CollectTask>,
}

struct Core {
    workshop: Arc<Workshop>,
    /// Images that were found on disk; whether they are still there is looked up at each use.
    ready: Mutex<HashMap<Digest, Ready>>,
    collecting: tokio::sync::Mutex<()>,
}

/// An image as it was found on disk. Nothing in here keeps it there.
#[derive(Clone)]
struct Ready {
    /// Index, manifest and config.
    blobs: Arc<[Digest]>,
    /// Lowest first.
    layers: Arc<[LayerName]>,
    lower_dirs: Arc<[PathBuf]>,
    run: Arc<RunConfig>,
}

impl Images {
    /// Opens the store in `dir`, making it where it is missing and removing what a crash left half-made, and begins to
    /// collect garbage from time to time. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `Io`, `DiskFull`: the directory cannot be used, or a pin in it cannot be read.
    pub async fn open(dir: &Path, config: Config, credentials: Arc<dyn Credentials>) -> Result<Self, Error> {
        let dir = dir.to_owned();
        let manifest_bytes_max = config.manifest_bytes_max;
        let (content, layers) = blocking::run("opening the image store", move || {
            let layout = Layout::open(&dir)?;
            let content = ContentStore::load(layout.clone(), manifest_bytes_max)?;
            let layers = Layers::new(layout, content.ledger().clone());
            Ok((content, layers))
        })
        .await?;
        let interval = config.collect_interval();
        let workshop = Arc::new(Workshop::new(content, layers, config, credentials));
        let core = Arc::new(Core { workshop, ready: Mutex::default(), collecting: tokio::sync::Mutex::default() });
        let weak: Weak<Core> = Arc::downgrade(&core);
        let collect = move || weak.upgrade().map(|core| async move { core.collect().await });
        let task = Arc::new(CollectTask::start(interval, collect));
        Ok(Self { core, task })
    }

    /// The content store, for the registry.
    pub fn content(&self) -> &ContentStore {
        &self.core.workshop.content
    }

    /// Makes an image ready to run: resolves its tag, transfers what is missing, verifies and unpacks it, and pins it
    /// for the request's owner. What is already here is neither transferred nor unpacked again; an image that is
    /// named by its digest needs no registry then. Preparations at the same time share downloads and layers. After a
    /// failure the complete blobs stay for `grace_s`, so that another try does not transfer them again; nothing
    /// half-made stays.
    ///
    /// # Errors
    /// Every kind; see [`Error::code`] and [`Error::report`].
    pub async fn prepare(&self, request: PrepareRequest) -> Result<Prepared, Error> {
        prepare::prepare(&self.core.workshop, request).await
    }

    /// The root file system of an image that was prepared, now or before a restart, by the digest that `prepare` gave.
    /// Nothing of it is collected while the result lives.
    ///
    /// # Errors
    /// `NotPrepared` when a part of it is not on disk; `Damaged`, `Io`.
    pub async fn rootfs(&self, digest: &Digest) -> Result<Rootfs, Error> {
        let (core, digest) = (self.core.clone(), digest.clone());
        blocking::run("finding a root file system", move || {
            let (hold, ready) = core.hold(&digest)?;
            Ok(Rootfs { lower_dirs: ready.lower_dirs.to_vec(), run: ready.run, hold: Arc::new(hold) })
        })
        .await
    }

    /// Keeps a prepared image for `owner`, in place of what that owner pinned before. Survives a crash once this
    /// returns.
    ///
    /// # Errors
    /// `NotPrepared` when a part of it is not on disk; `DiskFull`, `Damaged`, `Io`.
    pub async fn pin(&self, owner: &str, digest: &Digest) -> Result<(), Error> {
        // Held until it is pinned.
        let _rootfs = self.rootfs(digest).await?;
        self.content().pin_as(owner, Pin { digest: digest.clone(), keeps_rootfs: true }).await
    }

    /// Ends what `owner` keeps; nothing happens when it keeps nothing. The content goes with a later collection.
    ///
    /// # Errors
    /// `Io`.
    pub async fn unpin(&self, owner: &str) -> Result<(), Error> {
        self.content().unpin(owner).await
    }

    /// Removes blobs and layers that no pin, rootfs or lease needs and nobody touched within `grace_s`.
    ///
    /// # Errors
    /// `Io`, `Damaged`: what cannot be read may name what must stay, so nothing more is removed.
    pub async fn collect_garbage(&self) -> Result<Collected, Error> {
        self.core.clone().collect().await
    }

    /// Ends the collecting of garbage, after what runs of it is done.
    pub async fn shutdown(&self) {
        self.task.stop().await;
    }
}

impl Core {
    async fn collect(self: Arc<Self>) -> Result<Collected, Error> {
        let core = self.clone();
        let _turn = self.collecting.lock().await;
        blocking::run("collecting garbage", move || {
            let Workshop { content, layers, config, .. } = &*core.workshop;
            gc::collect(content, layers, config)
        })
        .await
    }

    /// Holds an image that is wholly on disk; blocks. First the hold, then the look, see `content::ledger`.
    fn hold(&self, digest: &Digest) -> Result<(Hold, Ready), Error> {
        let hold = self.workshop.content.ledger().hold(digest);
        let known = self.ready.lock().get(digest).cloned();
        if let Some(ready) = known
            && self.is_there(&ready)?
        {
            return Ok((hold, ready));
        }
        let ready = self.find(digest)?;
        let mut known = self.ready.lock();
        if known.len() >= self.workshop.config.cached_images_max {
            known.clear();
        }
        known.insert(digest.clone(), ready.clone());
        Ok((hold, ready))
    }

    /// Whether all of an image is still on disk; each part is touched before it is looked for.
    fn is_there(&self, ready: &Ready) -> Result<bool, Error> {
        for digest in &*ready.blobs {
            if self.workshop.content.size_now(digest)?.is_none() {
                return Ok(false);
            }
        }
        Ok(ready.layers.iter().all(|name| self.workshop.layers.has(name)))
    }

    fn find(&self, root: &Digest) -> Result<Ready, Error> {
        let mut blobs = Vec::new();
        let config = self.read_image(root, &mut blobs)?;
        let layers = self.workshop.layers.stack(&config.diff_ids);
        let layers = layers.ok_or_else(|| Error::NotPrepared { digest: root.clone() })?;
        let lower_dirs = self.workshop.layers.mount_order(&layers).into();
        Ok(Ready { blobs: blobs.into(), layers: layers.into(), lower_dirs, run: Arc::new(config.run) })
    }

    fn read_image(&self, root: &Digest, blobs: &mut Vec<Digest>) -> Result<ImageConfig, Error> {
        let manifest = self.read_manifest(root, blobs)?;
        let bytes_max = self.workshop.config.config_bytes_max;
        let bytes = self.read(root, &manifest.config.digest, bytes_max, blobs)?;
        image_config::parse(&bytes, manifest.layers.len()).map_err(|source| unusable(root, source))
    }

    fn read_manifest(&self, root: &Digest, blobs: &mut Vec<Digest>) -> Result<Manifest, Error> {
        let mut digest = root.clone();
        for _ in 0..=INDEX_DEPTH_MAX {
            let bytes = self.read(root, &digest, self.workshop.config.manifest_bytes_max, blobs)?;
            match manifest::parse(&bytes).map_err(|source| unusable(root, source))? {
                Document::Manifest(manifest) => return Ok(manifest),
                Document::Index(index) => {
                    digest = index.choose().map_err(|source| unusable(root, source))?.digest.clone();
                }
            }
        }
        Err(Error::NotPrepared { digest: root.clone() })
    }

    fn read(&self, root: &Digest, digest: &Digest, bytes_max: u64, blobs: &mut Vec<Digest>) -> Result<Bytes, Error> {
        let bytes = self.workshop.content.read_small_now(digest, bytes_max)?;
        blobs.push(digest.clone());
        bytes.ok_or_else(|| Error::NotPrepared { digest: root.clone() })
    }
}

fn unusable(root: &Digest, source: ManifestError) -> Error {
    Error::Manifest { image: root.to_string(), source }
}
