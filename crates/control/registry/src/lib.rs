//! A registry of the OCI distribution specification 1.1 (and Docker's manifests) over the content
//! store of `image`.
//!
//! It maps repositories to blobs, manifests and tags, authorizes requests, and receives uploads. It
//! pins the content of its repositories; the content store collects what no pin reaches.
//!
//! On disk, below its directory:
//!
//! ```text
//! token.key                         32 random bytes (0600), root of the key that signs tokens
//! tmp/                              drafts of files; emptied at the start
//! repositories/NAME/_blobs/HEX      empty: blob sha256:HEX is visible in repository NAME; modified
//!                                   when it was last pushed or requested
//! repositories/NAME/_manifests/HEX  JSON: media type, size, references (see `repository::record`)
//! repositories/NAME/_tags/TAG       the digest that the tag points to
//! repositories/NAME/_referrers/HEX/HEX
//!                                   empty: the second manifest has the first as its subject
//! ```
//!
//! `NAME` contains slashes and becomes nested directories; components never begin with `_`, which
//! separates them from the four reserved names. Every file is written beside, synced, renamed and
//! its directory synced, so that it is complete or absent. Content is pinned (owners
//! `registry/NAME@DIGEST` for manifests, `registry-blob/NAME@DIGEST` for blobs) before its file is
//! written and unpinned after its file is removed; a crash may leave a pin without a file, which is
//! removed some time after the start.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // A failed `unwrap` is a failed test.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use content_store::ContentStore;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

mod auth;
mod blobs;
mod body;
mod config;
mod download;
mod error;
mod listener;
mod manifests;
mod names;
mod paging;
mod problem;
mod push_event;
mod range;
mod referrers;
mod repository;
mod routes;
mod tags;
mod uploads;

pub use auth::{Actions, Credentials, Kind, Scope};
pub use config::Config;
pub use error::Error;
pub use push_event::{PushEvent, PushListener};
pub use repository::stored::{Retention, StoredImage};

use auth::Auth;
use repository::{Repositories, stored};
use uploads::Sessions;

/// State shared by the handlers.
pub(crate) struct RegistryState {
    config: Config,
    auth: Auth,
    content: ContentStore,
    repositories: Repositories,
    uploads: Sessions,
    /// Whether pins without a file may exist, left by a crash.
    orphans: AtomicBool,
    /// Permits for token requests whose bodies are being read.
    token_requests: Semaphore,
    /// When untagged manifests were last swept.
    untagged_swept: Mutex<Option<Instant>>,
}

/// Period of that sweep, which reads every manifest.
const UNTAGGED_PERIOD: Duration = Duration::from_secs(3600);

/// Result of a removal of untagged manifests, or of its dry run.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// The manifests.
    pub images: Vec<StoredImage>,
    /// Bytes of blobs that nothing else in the registry names.
    pub freed_bytes: u64,
    /// Owners of the pins that a dry run would remove; empty otherwise.
    pub released: HashSet<String>,
}

/// The registry; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<RegistryState>,
}

impl Registry {
    /// Opens the registry with metadata below `dir` (created when missing) and content in
    /// `content`, and repairs what a crash left. `credentials` is the key pair for logins;
    /// `push_events` is called for pushed content.
    ///
    /// # Errors
    /// When the directory cannot be read or written, or content cannot be pinned.
    pub async fn open(
        content: ContentStore,
        dir: &Path,
        credentials: Credentials,
        config: Config,
        push_events: PushListener,
    ) -> Result<Self, Error> {
        let repositories = Repositories::open(dir, content.clone(), push_events).await?;
        let auth = Auth::open(dir, credentials, &config)?;
        let uploads = Sessions::new(config.uploads_max, config.upload_idle());
        let orphans = AtomicBool::new(content.keeps_all());
        let token_requests = Semaphore::new(config.token_requests_max.max(1));
        let untagged_swept = Mutex::default();
        let shared =
            RegistryState { config, auth, content, repositories, uploads, orphans, token_requests, untagged_swept };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The routes below `/v2/`, with the token endpoint at `/v2/token`, for the router of the
    /// control address.
    pub fn router(&self) -> axum::Router {
        routes::router(self.shared.clone())
    }

    /// Sets the write timeout of a connection that serves the routes.
    pub fn limit_writes(&self, stream: &TcpStream) {
        listener::limit_writes(stream, self.shared.config.download_idle());
    }

    /// A short-lived token for pulls from one repository by the platform itself.
    pub fn mint_pull_token(&self, repository: &str) -> String {
        self.mint_token(vec![Scope::repository(repository, Actions::PULL)])
    }

    /// A short-lived token with `scopes`.
    pub fn mint_token(&self, scopes: Vec<Scope>) -> String {
        self.shared.auth.mint(scopes)
    }

    /// Drops idle uploads and unreferenced blobs every `sweep_period_s` until `stop`. Run it in one
    /// task.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.shared.config.sweep_period());
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.sweep().await,
            }
        }
    }

    /// One sweep. A failing repository is logged and retried at the next one.
    pub async fn sweep(&self) {
        self.shared.uploads.expire();
        self.drop_orphans().await;
        let keep = self.shared.config.unreferenced_blob_keep();
        // An absurdly long `keep` reaches before the epoch: then nothing is old enough.
        let Some(before) = SystemTime::now().checked_sub(keep) else { return };
        self.sweep_untagged().await;
        self.shared.repositories.sweep(before).await;
    }

    /// Every manifest with its tags and why it is retained; grouped by repository, last changed
    /// first.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn images(&self) -> Result<Vec<StoredImage>, Error> {
        self.shared.repositories.stored().await
    }

    /// Removes manifests that have been untagged for `keep`, and blobs that no manifest names; a
    /// dry run only returns them. The image store frees the content later.
    ///
    /// # Errors
    /// When the metadata cannot be read.
    pub async fn prune(&self, keep: Duration, dry_run: bool) -> Result<Pruned, Error> {
        let (all, before) = (self.images().await?, stored::ago(keep));
        let repositories = &self.shared.repositories;
        let (images, released) = if dry_run {
            let images = stored::untagged(all.clone(), before);
            let released = repositories.released(&images, before).await?;
            (images, released)
        } else {
            let images = repositories.remove_untagged(before).await?;
            repositories.sweep(before).await;
            (images, HashSet::new())
        };
        Ok(Pruned { freed_bytes: stored::freed_bytes(&all, &images), images, released })
    }

    /// Removes untagged manifests when due. Not soon after a start, before deployed images are
    /// pinned again.
    async fn sweep_untagged(&self) {
        let RegistryState { config, content, repositories, untagged_swept, .. } = &*self.shared;
        let Some(keep) = config.untagged_keep().filter(|_| !content.keeps_all()) else { return };
        {
            let mut swept = untagged_swept.lock();
            if swept.is_some_and(|swept| swept.elapsed() < UNTAGGED_PERIOD.min(keep)) {
                return;
            }
            *swept = Some(Instant::now());
        }
        match repositories.remove_untagged(stored::ago(keep)).await {
            Ok(removed) if !removed.is_empty() => {
                tracing::info!(manifests = removed.len(), "removed untagged manifests")
            }
            Ok(_) => {}
            Err(error) => tracing::error!(error = error.chain(), "cannot remove untagged manifests"),
        }
    }

    /// Removes orphaned pins, some time after the start.
    async fn drop_orphans(&self) {
        let RegistryState { content, repositories, orphans, .. } = &*self.shared;
        if content.keeps_all() || !orphans.load(Ordering::Relaxed) {
            return;
        }
        match repositories.drop_orphans().await {
            Ok(()) => orphans.store(false, Ordering::Relaxed),
            Err(error) => tracing::error!(error = error.chain(), "cannot remove pins that a crash left"),
        }
    }
}
