//! The handle of this crate: prepared images by digest. Owns the order of start and stop. Must not know how images are
//! fetched, indexed or mounted.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use content_store::{
    ContentStore, Finding, Hold, INDEX_DEPTH_MAX, Item, LayerName, Layers, Layout, Pin, RootfsFacts, ScrubReport,
    Scrubs,
};
use oci::{Document, ImageConfig, Manifest, RunConfig};
use parking_lot::Mutex;
use registry_client::Credentials;
use rootfs::{Mounted, Mounts, Rootfs};
use tokio::runtime::Handle;
use types::Digest;

use crate::gc::{self, BackgroundTasks, Collected};
use crate::prepare::{self, PrepareRequest, Prepared, Workshop};
use crate::{Config, Error, blocking};

/// Between two scrubs that run by themselves, whatever the configuration says.
const SCRUB_PAUSE_MIN: Duration = Duration::from_secs(60);

/// All images of a machine; clones are the same.
#[derive(Clone)]
pub struct Images {
    core: Arc<Core>,
    task: Arc<BackgroundTasks>,
}

struct Core {
    workshop: Arc<Workshop>,
    /// Images that were found on disk; whether they are still there is looked up at each use.
    ready: Mutex<HashMap<Digest, Ready>>,
    collecting: tokio::sync::Mutex<()>,
    scrubs: Scrubs,
    /// Of the damage that was found, how much `ready` and the mounts have taken note of.
    damage_seen: AtomicU64,
}

/// An image as it was found on disk.
#[derive(Clone)]
struct Ready {
    /// Index, manifest and config.
    blobs: Arc<[Digest]>,
    rootfs: LayerName,
    /// Keeps an EROFS mounted, which in turn keeps its files readable even if they are collected.
    mounted: Arc<Mounted>,
    run: Arc<RunConfig>,
}

impl Images {
    /// Opens the store in `dir`, making it where it is missing and removing what a crash left half-made, and begins to
    /// collect garbage from time to time. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `Io`, `DiskFull`: the directory cannot be used, a pin in it cannot be read, or root file systems cannot be made
    /// in the way that the configuration wants.
    pub async fn open(dir: &Path, config: Config, credentials: Arc<dyn Credentials>) -> Result<Self, Error> {
        let dir = dir.to_owned();
        let (store_config, mode) = (config.content_store(), config.rootfs);
        let (content, layers, mounts, was_clean) = blocking::run("opening the image store", move || {
            let layout = Layout::open(&dir)?;
            rootfs::unmount_left(&layout.mounts())?;
            let method = rootfs::choose(mode, &layout.drafts(), &layout.mounts());
            let method = method.map_err(|e| content_store::Error::io("mount a file system below", &dir, e))?;
            let mounts = Mounts::new(method, layout.mounts());
            let content = ContentStore::load(layout.clone(), store_config)?;
            let layers = Layers::new(layout, content.gc_roots().clone(), content.verifier().clone());
            let was_clean = content.layout().begin()?;
            if !was_clean {
                let bad = content_store::check_sizes(&content, &layers)?;
                tracing::info!(bad, "the last stop was not clean: sizes of content were checked, hashes follow");
            }
            Ok::<_, Error>((content, layers, mounts, was_clean))
        })
        .await?;
        tracing::info!(method = %mounts.method(), "root file systems of images");
        let interval = config.collect_interval();
        let workshop = Arc::new(Workshop::new(content, layers, mounts, config, credentials));
        let core = Arc::new(Core {
            workshop,
            ready: Mutex::default(),
            collecting: tokio::sync::Mutex::default(),
            scrubs: Scrubs::default(),
            damage_seen: AtomicU64::new(0),
        });
        let weak: Weak<Core> = Arc::downgrade(&core);
        let collect = move || weak.upgrade().map(|core| async move { core.collect_by_itself().await });
        let task = Arc::new(BackgroundTasks::start(interval, collect));
        task.spawn(scrub_from_time_to_time(Arc::downgrade(&core), was_clean));
        Ok(Self { core, task })
    }

    /// Begins to read and verify all that is kept, as fast as the disk is; one that runs already goes on as fast. What is
    /// bad is set aside.
    pub fn scrub(&self) {
        let Workshop { content, layers, .. } = &*self.core.workshop;
        if let Some(work) = self.core.scrubs.begin(content, layers, 0) {
            tokio::task::spawn_blocking(move || log_end(work().map_err(Error::from)));
        }
    }

    /// Whether what a scrub found damaged is there again; it was verified then.
    pub async fn is_there_again(&self, finding: &Finding) -> bool {
        let path = match finding.name.parse() {
            Ok(digest) => self.content().layout().blob(&digest),
            Err(_) => self.content().layout().layers().join(&finding.name),
        };
        finding.set_aside.is_some() && tokio::fs::try_exists(path).await.unwrap_or(false)
    }

    /// How far the scrub is that runs, or how the last one ended; `None` when there was none since the start.
    pub fn scrub_report(&self) -> Option<ScrubReport> {
        self.core.scrubs.report()
    }

    /// The content store, for the registry.
    pub fn content(&self) -> &ContentStore {
        &self.core.workshop.content
    }

    /// Makes an image ready to run: resolves its tag, transfers what is missing, verifies and indexes it, makes a root
    /// file system of it, and pins it for the request's owner. What is already here is neither transferred nor indexed
    /// again; an image that is named by its digest needs no registry then. Preparations at the same time share layers.
    /// After a failure the complete layers stay for a while, so that another try does not transfer them again; nothing
    /// half-made stays. When the disk is full, what nobody needs is removed first.
    ///
    /// # Errors
    /// Every kind; see [`Error::code`] and [`Error::report`].
    pub async fn prepare(&self, request: PrepareRequest) -> Result<Prepared, Error> {
        let prepared = match prepare::prepare(&self.core.workshop, request.clone()).await {
            Err(full @ Error::Content(content_store::Error::DiskFull { .. })) => {
                if !self.core.clone().make_room().await? {
                    return Err(full);
                }
                prepare::prepare(&self.core.workshop, request).await?
            }
            prepared => prepared?,
        };
        // What cannot be mounted is told now, not to the first request.
        self.rootfs(&prepared.digest).await?;
        Ok(prepared)
    }

    /// Indexes a layer of the content store in the background, so that an image that has it is ready sooner. Nothing
    /// happens when the content is no layer.
    pub fn index_ahead(&self, blob: &Digest) {
        let (workshop, blob) = (self.core.workshop.clone(), blob.clone());
        self.task.spawn(async move {
            if let Err(error) = prepare::index_ahead(&workshop, &blob).await {
                tracing::warn!(%blob, error = error.report(), "a pushed layer could not be indexed ahead");
            }
        });
    }

    /// The root file system of an image that was prepared, now or before a restart, by the digest that `prepare` gave.
    /// Nothing of it is collected while the result lives.
    ///
    /// # Errors
    /// `NotPrepared` when a part of it is not on disk; `Damaged`, `Io`.
    pub async fn rootfs(&self, digest: &Digest) -> Result<Rootfs, Error> {
        if let Some(mounted) = self.core.mounted(digest) {
            return Ok(mounted);
        }
        let (core, digest) = (self.core.clone(), digest.clone());
        blocking::run("finding a root file system", move || {
            let (hold, ready) = core.hold(&digest)?;
            Ok::<_, Error>(ready.rootfs(hold))
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
        let pin = Pin { digest: digest.clone(), keeps_rootfs: true };
        Ok(self.content().pin_as(owner, pin).await?)
    }

    /// Keeps an image for `owner` if all of it is here, which is looked for without reading layers; false when something
    /// is missing or damaged. Survives a crash once this returns.
    ///
    /// # Errors
    /// `DiskFull`, `Io`.
    pub async fn keep(&self, owner: &str, digest: &Digest) -> Result<bool, Error> {
        let pin = Pin { digest: digest.clone(), keeps_rootfs: true };
        let _hold = self.content().gc_roots().hold(digest);
        let (core, root) = (self.core.clone(), digest.clone());
        let whole = blocking::run("looking for an image", move || core.is_whole(&root)).await?;
        if whole && self.content().gc_roots().pin(owner).as_ref() != Some(&pin) {
            self.content().pin_as(owner, pin).await?;
        }
        Ok(whole)
    }

    /// Ends what `owner` keeps; nothing happens when it keeps nothing. The content goes with a later collection.
    ///
    /// # Errors
    /// `Io`.
    pub async fn unpin(&self, owner: &str) -> Result<(), Error> {
        Ok(self.content().unpin(owner).await?)
    }

    /// Removes blobs and layers that no pin, rootfs or lease needs and nobody touched within `grace_s`, also soon after a
    /// start.
    ///
    /// # Errors
    /// `Io`, `Damaged`: what cannot be read may name what must stay, so nothing more is removed.
    pub async fn collect_garbage(&self) -> Result<Collected, Error> {
        self.core.clone().collect().await
    }

    /// Removes all that nothing needs and nobody touched for `unused`, however much of it may stay otherwise, and soon after
    /// a start too.
    ///
    /// # Errors
    /// `Io`.
    pub async fn prune(&self, unused: Duration) -> Result<Collected, Error> {
        self.core
            .clone()
            .collect_with(Config { grace_s: unused.as_secs(), unpinned_bytes_max: 0, ..self.config() })
            .await
    }

    fn config(&self) -> Config {
        self.core.workshop.config.clone()
    }

    /// Ends the collecting of garbage, after what runs of it is done, and unmounts what is mounted; what instances still
    /// have of it stays theirs.
    pub async fn shutdown(&self) {
        self.core.scrubs.stop();
        self.task.stop().await;
        self.core.ready.lock().clear();
        let mounts = self.content().layout().mounts();
        let unmounted = blocking::run("unmounting root file systems", move || rootfs::unmount_left(&mounts));
        if let Err(error) = unmounted.await {
            tracing::warn!(error = error.report(), "root file systems stay mounted until the next start");
        }
        let layout = self.content().layout().clone();
        if let Err(error) = blocking::run("closing the image store", move || layout.end()).await {
            tracing::warn!(error = error.report(), "the next start will verify all images");
        }
    }
}

impl Core {
    async fn collect(self: Arc<Self>) -> Result<Collected, Error> {
        let unpinned_bytes_max = self.workshop.config.unpinned_bytes_max;
        self.collect_beyond(unpinned_bytes_max).await
    }

    /// As [`Self::collect`], from time to time; nothing soon after a start.
    async fn collect_by_itself(self: Arc<Self>) -> Result<Collected, Error> {
        if self.workshop.content.keeps_all() { Ok(Collected::default()) } else { self.collect().await }
    }

    /// Removes all that nobody needs; whether that was anything.
    async fn make_room(self: Arc<Self>) -> Result<bool, Error> {
        if self.workshop.content.keeps_all() {
            return Ok(false);
        }
        Ok(self.collect_beyond(0).await?.bytes > 0)
    }

    async fn collect_beyond(self: Arc<Self>, unpinned_bytes_max: u64) -> Result<Collected, Error> {
        let config = Config { unpinned_bytes_max, ..self.workshop.config.clone() };
        self.collect_with(config).await
    }

    async fn collect_with(self: Arc<Self>, config: Config) -> Result<Collected, Error> {
        let core = self.clone();
        let _turn = self.collecting.lock().await;
        blocking::run("collecting garbage", move || {
            let Workshop { content, layers, mounts, .. } = &*core.workshop;
            let collected = gc::collect(content, layers, mounts.method(), &config)?;
            // What is gone is unmounted, which frees its space, when no instance uses it any more.
            core.ready.lock().retain(|_, ready| layers.exists(&ready.rootfs));
            Ok::<_, Error>(collected)
        })
        .await
    }

    /// An image that is mounted, without a look at the disk: a cold start waits for this.
    fn mounted(&self, digest: &Digest) -> Option<Rootfs> {
        if !self.workshop.mounts.method().is_erofs() {
            return None;
        }
        self.take_note_of_damage();
        let hold = self.workshop.content.gc_roots().hold(digest);
        self.ready.lock().get(digest).cloned().map(|ready| ready.rootfs(hold))
    }

    /// Forgets what was found on disk and mounted when something was found damaged since: what is used next is looked for,
    /// and mounted, anew. Instances keep what they have.
    fn take_note_of_damage(&self) {
        let found = self.workshop.content.verifier().damage_count();
        if self.damage_seen.swap(found, Ordering::Relaxed) != found {
            self.ready.lock().clear();
            self.workshop.mounts.forget_all();
        }
    }

    /// Holds an image that is wholly on disk; blocks. First the hold, then the look, see `gc_roots`.
    fn hold(&self, digest: &Digest) -> Result<(Hold, Ready), Error> {
        self.take_note_of_damage();
        let hold = self.workshop.content.gc_roots().hold(digest);
        let known = self.ready.lock().get(digest).cloned();
        if let Some(ready) = known
            && self.is_there(&ready)?
        {
            return Ok((hold, ready));
        }
        let ready = match self.find(digest) {
            Err(Error::Content(content_store::Error::Damaged { digest: damaged, .. })) => {
                // Whoever repairs images learns of it.
                let reason = "its digest is another one".to_owned();
                self.workshop.content.verifier().set_aside(&Item::Blob(damaged), reason)?;
                return Err(Error::NotPrepared { digest: digest.clone() });
            }
            found => found?,
        };
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
        Ok(self.workshop.layers.facts::<RootfsFacts>(&ready.rootfs)?.is_some())
    }

    /// Whether all of a variant is there, by its sizes.
    fn is_whole(&self, root: &Digest) -> Result<bool, Error> {
        let manifests = match self.manifests(root, root, Vec::new()) {
            Err(error) if is_gone(&error) => return Ok(false),
            manifests => manifests?,
        };
        for (manifest, _) in manifests {
            match self.is_variant_whole(root, &manifest) {
                // What cannot be read is no more whole than what is missing.
                Ok(false) => {}
                Err(error) if is_gone(&error) => {}
                whole => return whole,
            }
        }
        Ok(false)
    }

    fn is_variant_whole(&self, root: &Digest, manifest: &Manifest) -> Result<bool, Error> {
        let Workshop { layers, mounts, config, .. } = &*self.workshop;
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
        // Those of an earlier version are made anew of their layers when they are used.
        Ok(match rootfs::unfolded_name(mounts.method(), &config.diff_ids) {
            Some(unfolded) => content_store::rootfs_fits(layers, &unfolded, is_erofs)?,
            None => !layers.exists(&name),
        })
    }

    /// The first variant that is prepared: another one is the best now when the processor, or what is known of it, is
    /// another than when it was prepared.
    fn find(&self, root: &Digest) -> Result<Ready, Error> {
        for (manifest, blobs) in self.manifests(root, root, Vec::new())? {
            match self.find_one(root, &manifest, blobs) {
                Err(Error::NotPrepared { .. }) => {}
                found => return found,
            }
        }
        Err(Error::NotPrepared { digest: root.clone() })
    }

    fn find_one(&self, root: &Digest, manifest: &Manifest, mut blobs: Vec<Digest>) -> Result<Ready, Error> {
        let Workshop { layers, mounts, config, .. } = &*self.workshop;
        let bytes = self.read(root, &manifest.config.digest, config.config_bytes_max, &mut blobs)?;
        let config = ImageConfig::read(&bytes, manifest.layers.len()).map_err(|source| unusable(root, source))?;
        let (rootfs, facts) = self.find_rootfs(root, &config.diff_ids)?;
        if mounts.method().is_erofs() {
            // Touched, so that they are not collected while the mount is made.
            for diff_id in &config.diff_ids {
                self.require(root, &LayerName::tar(diff_id))?;
            }
        }
        let mounted = mounts.mount(layers, &rootfs, &facts)?;
        Ok(Ready { blobs: blobs.into(), rootfs, mounted, run: Arc::new(config.run) })
    }

    /// Touches a layer and looks at its sizes; one that does not fit is set aside.
    fn require(&self, root: &Digest, name: &LayerName) -> Result<(), Error> {
        let layers = &self.workshop.layers;
        if content_store::layer_fits(layers, name)? {
            return Ok(());
        }
        if layers.exists(name) {
            let reason = "it has not the length that it had".to_owned();
            layers.verifier().set_aside(&Item::Layer(name.clone()), reason)?;
        }
        Err(Error::NotPrepared { digest: root.clone() })
    }

    /// The root file system of a stack. One that an earlier version of Sampan made by other rules is made anew of its
    /// layers; where only plain files are left of them, those are taken.
    fn find_rootfs(&self, root: &Digest, stack: &[Digest]) -> Result<(LayerName, RootfsFacts), Error> {
        let Workshop { layers, mounts, config, .. } = &*self.workshop;
        let name = rootfs::name(mounts.method(), stack);
        if let Some(facts) = layers.facts(&name)? {
            return Ok((name, facts));
        }
        let needs = rootfs::needs(layers, mounts.method(), stack)?;
        let shares = &self.workshop.shares;
        // On a thread that may block.
        let turn = |bytes| Handle::current().block_on(shares.local(root.as_str(), bytes));
        let _turn = needs.map(|needs| turn(needs.memory_bytes)).transpose()?;
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

    /// The manifests below `digest` that are on disk and that the processor runs, the highest variant first, each with
    /// the documents that lead to it after those `above`.
    fn manifests(
        &self,
        root: &Digest,
        digest: &Digest,
        mut above: Vec<Digest>,
    ) -> Result<Vec<(Manifest, Vec<Digest>)>, Error> {
        let bytes = self.read(root, digest, self.workshop.config.manifest_bytes_max, &mut above)?;
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
        let bytes = self.workshop.content.read_small_now(digest, bytes_max)?;
        blobs.push(digest.clone());
        bytes.ok_or_else(|| Error::NotPrepared { digest: root.clone() })
    }
}

/// Scrubs at once after an unclean stop, and whenever it is time, until the store is closed.
async fn scrub_from_time_to_time(core: Weak<Core>, was_clean: bool) {
    let mut at_once = !was_clean;
    loop {
        let due = core.upgrade().and_then(|core| content_store::due(&core.workshop.content));
        let pause = match due {
            _ if at_once => Duration::ZERO,
            Some(due) => due.max(SCRUB_PAUSE_MIN),
            None => return,
        };
        tokio::time::sleep(pause).await;
        at_once = false;
        let Some(core) = core.upgrade() else { return };
        let Workshop { content, layers, config, .. } = &*core.workshop;
        let Some(work) = core.scrubs.begin(content, layers, config.scrub_bytes_per_s_max.max(1)) else { continue };
        drop(core);
        log_end(blocking::run("scrubbing", work).await);
    }
}

fn log_end(ended: Result<(), Error>) {
    if let Err(error) = ended {
        tracing::error!(error = error.report(), "a scrub failed");
    }
}

impl Ready {
    fn rootfs(self, hold: Hold) -> Rootfs {
        Rootfs::new(self.mounted, self.run, hold)
    }
}

/// Whether an error says that a part of an image is not there, or no longer readable.
fn is_gone(error: &Error) -> bool {
    use content_store::Error::{Damaged, Io};
    matches!(error, Error::NotPrepared { .. } | Error::Content(Damaged { .. } | Io { .. }))
}

fn unusable(root: &Digest, source: oci::Error) -> Error {
    Error::Manifest { image: root.to_string(), source }
}
