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

/// Between two scrubs that run by themselves, whatever the configuration says.
const SCRUB_PAUSE_MIN: Duration = Duration::from_secs(60);

/// All images of a machine; clones are the same.
#[derive(Clone)]
pub struct Images {
    state: Arc<State>,
    task: Arc<BackgroundTasks>,
}

impl Images {
    /// Opens the store in `dir`, making it where it is missing and removing what a crash left
    /// half-made, and begins to collect garbage from time to time. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// `Io`, `DiskFull`: the directory cannot be used, a pin in it cannot be read, or root file
    /// systems cannot be made in the way that the configuration wants.
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
        let context = Arc::new(Context::new(content, layers, mounts, config, credentials));
        let state = Arc::new(State::new(context));
        let weak: Weak<State> = Arc::downgrade(&state);
        let collect = move || weak.upgrade().map(|state| async move { state.collect_by_itself().await });
        let task = Arc::new(BackgroundTasks::start(interval, collect));
        task.spawn(scrub_from_time_to_time(Arc::downgrade(&state), was_clean));
        Ok(Self { state, task })
    }

    /// Begins to read and verify all that is kept, as fast as the disk is; one that runs already
    /// goes on as fast. What is bad is set aside.
    pub fn scrub(&self) {
        let Context { content, layers, .. } = &*self.state.context;
        if let Some(work) = self.state.scrubs.begin(content, layers, 0) {
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

    /// How far the scrub is that runs, or how the last one ended; `None` when there was none since
    /// the start.
    pub fn scrub_report(&self) -> Option<ScrubReport> {
        self.state.scrubs.report()
    }

    /// The content store, for the registry.
    pub fn content(&self) -> &ContentStore {
        &self.state.context.content
    }

    /// Makes an image ready to run: resolves its tag, transfers what is missing, verifies and
    /// indexes it, makes a root file system of it, and pins it for the request's owner. What is
    /// already here is neither transferred nor indexed again; an image that is named by its digest
    /// needs no registry then. Preparations at the same time share layers. After a failure the
    /// complete layers stay for a while, so that another try does not transfer them again; nothing
    /// half-made stays. When the disk is full, what nobody needs is removed first.
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
        // Mount it now, so that a failure fails the deployment and not the first request.
        self.rootfs(&prepared.digest).await?;
        Ok(prepared)
    }

    /// Indexes a layer of the content store in the background, so that an image that has it is
    /// ready sooner. Nothing happens when the content is no layer.
    pub fn index_ahead(&self, blob: &Digest) {
        let (context, blob) = (self.state.context.clone(), blob.clone());
        self.task.spawn(async move {
            if let Err(error) = prepare::index_ahead(&context, &blob).await {
                tracing::warn!(%blob, error = error.report(), "a pushed layer could not be indexed ahead");
            }
        });
    }

    /// The root file system of an image that was prepared, now or before a restart, by the digest
    /// that `prepare` gave. Nothing of it is collected while the result lives.
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

    /// Keeps a prepared image for `owner`, in place of what that owner pinned before. Survives a
    /// crash once this returns.
    ///
    /// # Errors
    /// `NotPrepared` when a part of it is not on disk; `DiskFull`, `Damaged`, `Io`.
    pub async fn pin(&self, owner: &str, digest: &Digest) -> Result<(), Error> {
        // Held until it is pinned.
        let _rootfs = self.rootfs(digest).await?;
        let pin = Pin { digest: digest.clone(), keeps_rootfs: true };
        Ok(self.content().pin_as(owner, pin).await?)
    }

    /// Keeps an image for `owner` if all of it is here, which is looked for without reading layers;
    /// false when something is missing or damaged. Survives a crash once this returns.
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

    /// Ends what `owner` keeps; nothing happens when it keeps nothing. The content goes with a
    /// later collection.
    ///
    /// # Errors
    /// `Io`.
    pub async fn unpin(&self, owner: &str) -> Result<(), Error> {
        Ok(self.content().unpin(owner).await?)
    }

    /// Removes blobs and layers that no pin, rootfs or lease needs and nobody touched within
    /// `grace_s`, also soon after a start.
    ///
    /// # Errors
    /// `Io`, `Damaged`: what cannot be read may name what must stay, so nothing more is removed.
    pub async fn collect_garbage(&self) -> Result<Collected, Error> {
        self.state.clone().collect().await
    }

    /// Removes all that nothing needs and nobody touched for `unused`, however much of it may stay
    /// otherwise, and soon after a start too.
    ///
    /// # Errors
    /// `Io`.
    pub async fn prune(&self, unused: Duration) -> Result<Collected, Error> {
        self.state.clone().collect_with(self.prune_config(unused)).await
    }

    /// What [`Images::prune`] would remove if these owners pinned nothing; removes nothing.
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

    /// Ends the collecting of garbage, after what runs of it is done, and unmounts what is mounted;
    /// what instances still have of it stays theirs.
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

/// Scrubs at once after an unclean stop, and whenever it is time, until the store is closed.
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
