//! The handle of this crate: prepared images by digest, and the order of start and stop.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use content_store::{ContentStore, Finding, Layers, Layout, Pin, ScrubReport};
use registry_client::Credentials;
use rootfs::{Mounts, Rootfs};
use types::Digest;

use crate::gc::{BackgroundTasks, Collected};
use crate::prepare::{self, Context, PrepareRequest, Prepared};
use crate::state::State;
use crate::{Config, Error, blocking};

/// Minimum interval of periodic scrubs, whatever the configuration says.
const SCRUB_PAUSE_MIN: Duration = Duration::from_secs(60);

/// All images of a machine; clones share them.
#[derive(Clone)]
pub struct Images {
    state: Arc<State>,
    task: Arc<BackgroundTasks>,
}

impl Images {
    /// Opens the store in `dir`, creating it if it does not exist and removing drafts of an earlier
    /// run, and starts periodic garbage collection. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `Io`, `DiskFull`: the directory cannot be used, a pin in it cannot be read, or root file
    /// systems cannot be created in the configured way.
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
                tracing::info!(
                    bad,
                    "the last stop was not clean; checked the sizes of content, verifying digests next"
                );
            }
            Ok::<_, Error>((content, layers, mounts, was_clean))
        })
        .await?;
        tracing::info!(method = %mounts.method(), "root file systems of images");
        let interval = config.collect_interval();
        let context = Arc::new(Context::new(content, layers, mounts, config, credentials));
        let state = Arc::new(State::new(context));
        let weak: Weak<State> = Arc::downgrade(&state);
        let collect = move || weak.upgrade().map(|state| async move { state.collect_by_itself().await });
        let task = Arc::new(BackgroundTasks::start(interval, collect));
        task.spawn(scrub_from_time_to_time(Arc::downgrade(&state), was_clean));
        Ok(Self { state, task })
    }

    /// Begins a scrub of all stored content at full speed; a running one continues at full speed.
    /// Damaged content is quarantined.
    pub fn scrub(&self) {
        let Context { content, layers, .. } = &*self.state.context;
        if let Some(work) = self.state.scrubs.begin(content, layers, 0) {
            tokio::task::spawn_blocking(move || log_end(work().map_err(Error::from)));
        }
    }

    /// Whether content that a scrub found damaged exists again; it was verified then.
    pub async fn is_there_again(&self, finding: &Finding) -> bool {
        let path = match finding.name.parse() {
            Ok(digest) => self.content().layout().blob(&digest),
            Err(_) => self.content().layout().layers().join(&finding.name),
        };
        finding.set_aside.is_some() && tokio::fs::try_exists(path).await.unwrap_or(false)
    }

    /// Progress of the current scrub, or the result of the last one; `None` without one since the
    /// start.
    pub fn scrub_report(&self) -> Option<ScrubReport> {
        self.state.scrubs.report()
    }

    /// The content store, for the registry.
    pub fn content(&self) -> &ContentStore {
        &self.state.context.content
    }

    /// Prepares an image: resolves its tag, transfers missing blobs, verifies and indexes them,
    /// creates a root file system, and pins it for the request's owner. Existing content is neither
    /// transferred nor indexed again; an image named by digest then needs no registry. Concurrent
    /// preparations share layers. After a failure the complete layers stay for a while, so that a
    /// retry does not transfer them again; drafts are removed. When the disk is full, unreferenced
    /// content is removed first.
    ///
    /// # Errors
    /// Every kind; see [`Error::code`] and [`Error::report`].
    #[tracing::instrument(level = "info", skip_all, fields(image = %request.image))]
    pub async fn prepare(&self, request: PrepareRequest) -> Result<Prepared, Error> {
        let prepared = match prepare::prepare(&self.state.context, request.clone()).await {
            Err(full @ Error::Content(content_store::Error::DiskFull { .. })) => {
                if !self.state.clone().make_room().await? {
                    return Err(full);
                }
                prepare::prepare(&self.state.context, request).await?
            }
            prepared => prepared?,
        };
        // A mount error is reported now, not by the first request.
        self.rootfs(&prepared.digest).await?;
        Ok(prepared)
    }

    /// Indexes a layer of the content store in the background, so that an image that has it is
    /// ready sooner. Does nothing for content other than layers.
    pub fn index_ahead(&self, blob: &Digest) {
        let (context, blob) = (self.state.context.clone(), blob.clone());
        self.task.spawn(async move {
            if let Err(error) = prepare::index_ahead(&context, &blob).await {
                tracing::warn!(%blob, error = error.report(), "cannot index a pushed layer ahead of its use");
            }
        });
    }

    /// The root file system of an image that was prepared, now or before a restart, by the digest
    /// that `prepare` returned. Its content is not collected until the result is dropped.
    ///
    /// # Errors
    /// `NotPrepared` when a part of it is not on disk; `Damaged`, `Io`.
    pub async fn rootfs(&self, digest: &Digest) -> Result<Rootfs, Error> {
        if let Some(mounted) = self.state.mounted(digest) {
            return Ok(mounted);
        }
        let (state, digest) = (self.state.clone(), digest.clone());
        blocking::run("finding a root file system", move || {
            let (hold, ready) = state.hold(&digest)?;
            Ok::<_, Error>(ready.rootfs(hold))
        })
        .await
    }

    /// Pins a prepared image for `owner`, replacing that owner's earlier pin. Durable on return.
    ///
    /// # Errors
    /// `NotPrepared` when a part of it is not on disk; `DiskFull`, `Damaged`, `Io`.
    pub async fn pin(&self, owner: &str, digest: &Digest) -> Result<(), Error> {
        // Held until it is pinned.
        let _rootfs = self.rootfs(digest).await?;
        let pin = Pin { digest: digest.clone(), keeps_rootfs: true };
        Ok(self.content().pin_as(owner, pin).await?)
    }

    /// Pins an image for `owner` if it is complete, which is checked without reading layers; false
    /// when a part is missing or damaged. Durable on return.
    ///
    /// # Errors
    /// `DiskFull`, `Io`.
    pub async fn keep(&self, owner: &str, digest: &Digest) -> Result<bool, Error> {
        let pin = Pin { digest: digest.clone(), keeps_rootfs: true };
        let _hold = self.content().gc_roots().hold(digest);
        let (state, root) = (self.state.clone(), digest.clone());
        let whole = blocking::run("looking for an image", move || state.is_whole(&root)).await?;
        if whole && self.content().gc_roots().pin(owner).as_ref() != Some(&pin) {
            self.content().pin_as(owner, pin).await?;
        }
        Ok(whole)
    }

    /// Removes the pin of `owner`, if any. A later collection removes the content.
    ///
    /// # Errors
    /// `Io`.
    pub async fn unpin(&self, owner: &str) -> Result<(), Error> {
        Ok(self.content().unpin(owner).await?)
    }

    /// Removes blobs and layers that no pin, rootfs or lease needs and that were not touched within
    /// `grace_s`, also soon after a start.
    ///
    /// # Errors
    /// `Io`, `Damaged`: an unreadable document may reference content that must stay, so nothing
    /// more is removed.
    pub async fn collect_garbage(&self) -> Result<Collected, Error> {
        self.state.clone().collect().await
    }

    /// Removes all unreferenced content that was not touched for `unused`, even below
    /// `unpinned_bytes_max`, and soon after a start too.
    ///
    /// # Errors
    /// `Io`.
    pub async fn prune(&self, unused: Duration) -> Result<Collected, Error> {
        self.state.clone().collect_with(self.prune_config(unused)).await
    }

    /// Returns what [`Images::prune`] would remove without the pins of these owners; removes
    /// nothing.
    ///
    /// # Errors
    /// As for a prune.
    pub async fn prune_preview(&self, unused: Duration, released: HashSet<String>) -> Result<Collected, Error> {
        self.state.clone().preview_with(self.prune_config(unused), released).await
    }

    fn prune_config(&self, unused: Duration) -> Config {
        Config { grace_s: unused.as_secs(), unpinned_bytes_max: 0, ..self.config() }
    }

    fn config(&self) -> Config {
        self.state.context.config.clone()
    }

    /// Stops garbage collection after the current one, and unmounts the images; running instances
    /// keep their own mounts.
    pub async fn shutdown(&self) {
        self.state.scrubs.stop();
        self.task.stop().await;
        self.state.ready.lock().clear();
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

/// Scrubs at once after an unclean stop, and then periodically, until the store is closed.
async fn scrub_from_time_to_time(state: Weak<State>, was_clean: bool) {
    let mut at_once = !was_clean;
    loop {
        let due = state.upgrade().and_then(|state| content_store::due(&state.context.content));
        let pause = match due {
            _ if at_once => Duration::ZERO,
            Some(due) => due.max(SCRUB_PAUSE_MIN),
            None => return,
        };
        tokio::time::sleep(pause).await;
        at_once = false;
        let Some(state) = state.upgrade() else { return };
        let Context { content, layers, config, .. } = &*state.context;
        let Some(work) = state.scrubs.begin(content, layers, config.scrub_bytes_per_s_max.max(1)) else { continue };
        drop(state);
        log_end(blocking::run("scrubbing", work).await);
    }
}

fn log_end(ended: Result<(), Error>) {
    if let Err(error) = ended {
        tracing::error!(error = error.report(), "a scrub failed");
    }
}
