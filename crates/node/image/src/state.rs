//! Prepared images on disk and mounted, and the collection of unreferenced content.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use content_store::{Hold, INDEX_DEPTH_MAX, Item, LayerName, RootfsFacts, Scrubs};
use oci::{Document, ImageConfig, Manifest, RunConfig};
use parking_lot::Mutex;
use rootfs::{Mounted, Rootfs};
use tokio::runtime::Handle;
use types::Digest;

use crate::gc::{self, Collected};
use crate::prepare::Context;
use crate::{Config, Error, blocking};

/// State shared by the handle and its background tasks.
pub(crate) struct State {
    pub(crate) context: Arc<Context>,
    /// Images found on disk; each use checks whether they still exist.
    pub(crate) ready: Mutex<HashMap<Digest, Ready>>,
    pub(crate) collecting: tokio::sync::Mutex<()>,
    pub(crate) scrubs: Scrubs,
    /// The damage count that `ready` and the mounts reflect.
    pub(crate) damage_seen: AtomicU64,
}

/// An image found on disk.
#[derive(Clone)]
pub(crate) struct Ready {
    /// Index, manifest and config.
    blobs: Arc<[Digest]>,
    rootfs: LayerName,
    /// Keeps an EROFS mounted, whose files stay readable even if they are collected.
    mounted: Arc<Mounted>,
    run: Arc<RunConfig>,
}

impl State {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            ready: Mutex::default(),
            collecting: tokio::sync::Mutex::default(),
            scrubs: Scrubs::default(),
            damage_seen: AtomicU64::new(0),
        }
    }

    pub(crate) async fn collect(self: Arc<Self>) -> Result<Collected, Error> {
        let unpinned_bytes_max = self.context.config.unpinned_bytes_max;
        self.collect_beyond(unpinned_bytes_max).await
    }

    /// As [`Self::collect`], periodically; does nothing soon after a start.
    pub(crate) async fn collect_by_itself(self: Arc<Self>) -> Result<Collected, Error> {
        if self.context.content.keeps_all() { Ok(Collected::default()) } else { self.collect().await }
    }

    /// Removes all unreferenced content; returns whether there was any.
    pub(crate) async fn make_room(self: Arc<Self>) -> Result<bool, Error> {
        if self.context.content.keeps_all() {
            return Ok(false);
        }
        Ok(self.collect_beyond(0).await?.bytes > 0)
    }

    async fn collect_beyond(self: Arc<Self>, unpinned_bytes_max: u64) -> Result<Collected, Error> {
        let config = Config { unpinned_bytes_max, ..self.context.config.clone() };
        self.collect_with(config).await
    }

    pub(crate) async fn collect_with(self: Arc<Self>, config: Config) -> Result<Collected, Error> {
        let state = self.clone();
        let _collecting = self.collecting.lock().await;
        blocking::run("collecting garbage", move || {
            let Context { content, layers, mounts, .. } = &*state.context;
            let collected = gc::collect(content, layers, mounts.method(), &config)?;
            // Collected images are unmounted, which frees their space once no instance uses them.
            state.ready.lock().retain(|_, ready| layers.exists(&ready.rootfs));
            Ok::<_, Error>(collected)
        })
        .await
    }

    /// What [`State::collect_with`] would remove without the pins of these owners.
    pub(crate) async fn preview_with(
        self: Arc<Self>,
        config: Config,
        released: HashSet<String>,
    ) -> Result<Collected, Error> {
        let state = self.clone();
        let _collecting = self.collecting.lock().await;
        blocking::run("previewing a collection of garbage", move || {
            let Context { content, layers, mounts, .. } = &*state.context;
            gc::preview(content, layers, mounts.method(), &config, &released)
        })
        .await
    }

    /// A mounted image, without access to the disk: a cold start waits for this.
    pub(crate) fn mounted(&self, digest: &Digest) -> Option<Rootfs> {
        if !self.context.mounts.method().is_erofs() {
            return None;
        }
        self.take_note_of_damage();
        let hold = self.context.content.gc_roots().hold(digest);
        self.ready.lock().get(digest).cloned().map(|ready| ready.rootfs(hold))
    }

    /// Drops cached images and mounts after new damage was found: later uses look them up and mount
    /// them again. Running instances keep theirs.
    fn take_note_of_damage(&self) {
        let found = self.context.content.verifier().damage_count();
        if self.damage_seen.swap(found, Ordering::Relaxed) != found {
            self.ready.lock().clear();
            self.context.mounts.forget_all();
        }
    }

    /// Holds an image that is complete on disk; blocks. The hold precedes the check, see
    /// `gc_roots`.
    pub(crate) fn hold(&self, digest: &Digest) -> Result<(Hold, Ready), Error> {
        self.take_note_of_damage();
        let hold = self.context.content.gc_roots().hold(digest);
        let known = self.ready.lock().get(digest).cloned();
        if let Some(ready) = known
            && self.is_there(&ready)?
        {
            return Ok((hold, ready));
        }
        let ready = match self.find(digest) {
            Err(Error::Content(content_store::Error::Damaged { digest: damaged, .. })) => {
                // Quarantining it notifies repairs.
                let reason = "its digest is another one".to_owned();
                self.context.content.verifier().set_aside(&Item::Blob(damaged), reason)?;
                return Err(Error::NotPrepared { digest: digest.clone() });
            }
            found => found?,
        };
        let mut known = self.ready.lock();
        if known.len() >= self.context.config.cached_images_max {
            known.clear();
        }
        known.insert(digest.clone(), ready.clone());
        Ok((hold, ready))
    }

    /// Whether all parts of an image are still on disk; each part is touched before the check.
    fn is_there(&self, ready: &Ready) -> Result<bool, Error> {
        for digest in &*ready.blobs {
            if self.context.content.size_now(digest)?.is_none() {
                return Ok(false);
            }
        }
        Ok(self.context.layers.facts::<RootfsFacts>(&ready.rootfs)?.is_some())
    }

    /// Whether a variant is complete, by file sizes.
    pub(crate) fn is_whole(&self, root: &Digest) -> Result<bool, Error> {
        let manifests = match self.manifests(root, root, Vec::new()) {
            Err(error) if is_gone(&error) => return Ok(false),
            manifests => manifests?,
        };
        for (manifest, _) in manifests {
            match self.is_variant_whole(root, &manifest) {
                // Unreadable counts as missing.
                Ok(false) => {}
                Err(error) if is_gone(&error) || is_other(&error) => {}
                whole => return whole,
            }
        }
        Ok(false)
    }

    fn is_variant_whole(&self, root: &Digest, manifest: &Manifest) -> Result<bool, Error> {
        let Context { layers, mounts, config, .. } = &*self.context;
        let bytes = self.read(root, &manifest.config.digest, config.config_bytes_max, &mut Vec::new())?;
        let config = ImageConfig::read(&bytes, manifest.layers.len()).map_err(|source| unusable(root, source))?;
        let is_erofs = mounts.method().is_erofs();
        let name = rootfs::name(mounts.method(), &config.diff_ids);
        if is_erofs {
            for diff_id in &config.diff_ids {
                if !content_store::layer_fits(layers, &LayerName::tar(diff_id))? {
                    return Ok(false);
                }
            }
        }
        if content_store::rootfs_fits(layers, &name, is_erofs)? {
            return Ok(true);
        }
        // Root file systems of an earlier version are created again from their layers when they are
        // used.
        Ok(match rootfs::unfolded_name(mounts.method(), &config.diff_ids) {
            Some(unfolded) => content_store::rootfs_fits(layers, &unfolded, is_erofs)?,
            None => !layers.exists(&name),
        })
    }

    /// The first variant that is prepared: the best one may differ from the one prepared earlier if
    /// the processor, or detection of its features, has changed.
    fn find(&self, root: &Digest) -> Result<Ready, Error> {
        for (manifest, blobs) in self.manifests(root, root, Vec::new())? {
            match self.find_one(root, &manifest, blobs) {
                Err(Error::NotPrepared { .. }) => {}
                Err(error) if is_other(&error) => {}
                found => return found,
            }
        }
        Err(Error::NotPrepared { digest: root.clone() })
    }

    fn find_one(&self, root: &Digest, manifest: &Manifest, mut blobs: Vec<Digest>) -> Result<Ready, Error> {
        let Context { layers, mounts, config, .. } = &*self.context;
        let bytes = self.read(root, &manifest.config.digest, config.config_bytes_max, &mut blobs)?;
        let config = ImageConfig::read(&bytes, manifest.layers.len()).map_err(|source| unusable(root, source))?;
        let (rootfs, facts) = self.find_rootfs(root, &config.diff_ids)?;
        if mounts.method().is_erofs() {
            // Touched, so that they are not collected while the mount is created.
            for diff_id in &config.diff_ids {
                self.require(root, &LayerName::tar(diff_id))?;
            }
        }
        let mounted = mounts.mount(layers, &rootfs, &facts)?;
        Ok(Ready { blobs: blobs.into(), rootfs, mounted, run: Arc::new(config.run) })
    }

    /// Touches a layer and checks its sizes; a mismatch is quarantined.
    fn require(&self, root: &Digest, name: &LayerName) -> Result<(), Error> {
        let layers = &self.context.layers;
        if content_store::layer_fits(layers, name)? {
            return Ok(());
        }
        if layers.exists(name) {
            let reason = "it has not the length that it had".to_owned();
            layers.verifier().set_aside(&Item::Layer(name.clone()), reason)?;
        }
        Err(Error::NotPrepared { digest: root.clone() })
    }

    /// The root file system of a stack. One created under rules of an earlier version is created
    /// again from its layers; if only its plain files are left, those are used.
    fn find_rootfs(&self, root: &Digest, stack: &[Digest]) -> Result<(LayerName, RootfsFacts), Error> {
        let Context { layers, mounts, config, .. } = &*self.context;
        let name = rootfs::name(mounts.method(), stack);
        if let Some(facts) = layers.facts(&name)? {
            return Ok((name, facts));
        }
        let needs = rootfs::needs(layers, mounts.method(), stack)?;
        let limits = &self.context.limits;
        // On a thread that may block.
        let permits = |bytes| Handle::current().block_on(limits.local(root.as_str(), bytes));
        let _permits = needs.map(|needs| permits(needs.memory_bytes)).transpose()?;
        match rootfs::make(layers, mounts.method(), stack, config.tree_limits()) {
            Ok(()) => {}
            Err(rootfs::Error::Content(error)) => return Err(error.into()),
            Err(rootfs::Error::MissingLayer { .. } | rootfs::Error::Layer { .. }) => {
                let unfolded = rootfs::unfolded_name(mounts.method(), stack);
                let facts = unfolded.as_ref().map(|name| layers.facts(name)).transpose()?.flatten();
                return unfolded.zip(facts).ok_or_else(|| Error::NotPrepared { digest: root.clone() });
            }
        }
        let facts = layers.facts(&name)?.ok_or_else(|| Error::NotPrepared { digest: root.clone() })?;
        Ok((name, facts))
    }

    /// The manifests below `digest` that are on disk and that the processor runs, the highest
    /// variant first, each with the documents that lead to it after those `above`.
    fn manifests(
        &self,
        root: &Digest,
        digest: &Digest,
        mut above: Vec<Digest>,
    ) -> Result<Vec<(Manifest, Vec<Digest>)>, Error> {
        let bytes = self.read(root, digest, self.context.config.manifest_bytes_max, &mut above)?;
        let index = match Document::read(&bytes).map_err(|source| unusable(root, source))? {
            Document::Manifest(manifest) => return Ok(vec![(manifest, above)]),
            Document::Index(index) => index,
        };
        index.choose().map_err(|source| unusable(root, source))?;
        let mut found = Vec::new();
        for entry in index.fitting(oci::processor_level()) {
            if above.len() > INDEX_DEPTH_MAX {
                break;
            }
            match self.manifests(root, &entry.digest, above.clone()) {
                Err(Error::NotPrepared { .. }) => {}
                below => found.extend(below?),
            }
        }
        Ok(found)
    }

    fn read(&self, root: &Digest, digest: &Digest, bytes_max: u64, blobs: &mut Vec<Digest>) -> Result<Bytes, Error> {
        let bytes = self.context.content.read_small_now(digest, bytes_max)?;
        blobs.push(digest.clone());
        bytes.ok_or_else(|| Error::NotPrepared { digest: root.clone() })
    }
}

impl Ready {
    pub(crate) fn rootfs(self, hold: Hold) -> Rootfs {
        Rootfs::new(self.mounted, self.run, hold)
    }
}

/// Whether an error means that a part of an image is missing or no longer readable.
fn is_gone(error: &Error) -> bool {
    use content_store::Error::{Damaged, Io};
    matches!(error, Error::NotPrepared { .. } | Error::Content(Damaged { .. } | Io { .. }))
}

/// Whether an error shows that a manifest of an index is not one that preparation chose: an entry
/// without a platform may be for another one, or no image.
fn is_other(error: &Error) -> bool {
    matches!(error, Error::Manifest { .. })
}

fn unusable(root: &Digest, source: oci::Error) -> Error {
    Error::Manifest { image: root.to_string(), source }
}
