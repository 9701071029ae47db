//! The registry: the OCI distribution specification 1.1 (and Docker's manifests, which it grew from) over the content
//! store of `image`.
//!
//! Owns which blob, manifest and tag is in which repository, who may touch it, and uploads on their way. Must not know
//! functions, and neither how content is kept nor when it is collected: it pins what its repositories hold.
//!
//! On disk, below the directory it is given:
//!
//! ```text
//! token.key                                  32 random bytes (0600), the root of the key that signs tokens
//! tmp/                                       files on their way; emptied at the start
//! repositories/NAME/_blobs/HEX               empty: the blob sha256:HEX is visible in repository NAME; its modification
//!                                            time is when it was last pushed or asked for
//! repositories/NAME/_manifests/HEX           JSON: media type, size, what it names (see `repository::record`)
//! repositories/NAME/_tags/TAG                the digest that the tag points to
//! repositories/NAME/_referrers/HEX/HEX       empty: the second manifest has the first as its subject
//! ```
//!
//! `NAME` holds slashes and becomes nested directories; a component never begins with `_`, so the four words stand apart.
//! Every file is written beside, synced, renamed and its directory synced, so each is there whole or not at all. Content
//! is pinned (owners `registry/NAME@DIGEST` for manifests, `registry-blob/NAME@DIGEST` for blobs) before its file is
//! written and unpinned after its file is gone; a pin without a file, left by a crash, is dropped some time after the start.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))] // A test may fail where it stands.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use content_store::ContentStore;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

mod arrival;
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
mod range;
mod referrers;
mod repository;
mod routes;
mod tags;
mod uploads;

pub use arrival::{Arrival, ArrivalListener};
pub use auth::{Actions, Credentials, Kind, Scope};
pub use config::Config;
pub use error::Error;
pub use repository::stored::{Kept, StoredImage};

use auth::Auth;
use repository::{Repositories, stored};
use uploads::Sessions;

/// What every request handler sees.
pub(crate) struct Shared {
    config: Config,
    auth: Auth,
    content: ContentStore,
    repositories: Repositories,
    uploads: Sessions,
    /// Whether pins without a file may be there, as a crash leaves them.
    orphans: AtomicBool,
    /// Room for requests for tokens whose bodies are read.
    token_requests: Semaphore,
    /// When untagged manifests were last looked for.
    untagged_swept: Mutex<Option<Instant>>,
}

/// Between two looks for untagged manifests, which read every manifest.
const UNTAGGED_PERIOD: Duration = Duration::from_secs(3600);

/// What a removal of untagged manifests took away, or would take.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// The manifests.
    pub images: Vec<StoredImage>,
    /// Bytes of blobs that nothing else in the registry names.
    pub freed_bytes: u64,
}

/// The registry; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

impl Registry {
    /// Opens the registry whose metadata is below `dir` (made when missing) and whose content is in `content`; what a
    /// crash left half-made is cleaned. `credentials` is the key pair that logs in; `arrivals` is told what pushes bring.
    ///
    /// # Errors
    /// The directory cannot be read or written, or the content store cannot pin.
    pub async fn open(
        content: ContentStore,
        dir: &Path,
        credentials: Credentials,
        config: Config,
        arrivals: ArrivalListener,
    ) -> Result<Self, Error> {
        let repositories = Repositories::open(dir, content.clone(), arrivals).await?;
        let auth = Auth::open(dir, credentials, &config)?;
        let uploads = Sessions::new(config.uploads_max, config.upload_idle());
        let orphans = AtomicBool::new(content.keeps_all());
        let token_requests = Semaphore::new(config.token_requests_max.max(1));
        let untagged_swept = Mutex::default();
        let shared = Shared { config, auth, content, repositories, uploads, orphans, token_requests, untagged_swept };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The routes, all below `/v2/` (with the token endpoint at `/v2/token`); to be merged into the control address's.
    pub fn router(&self) -> axum::Router {
        routes::router(self.shared.clone())
    }

    /// To be called with each connection that the routes are served on: a client that stops reading loses its own.
    pub fn limit_writes(&self, stream: &TcpStream) {
        listener::limit_writes(stream, self.shared.config.download_idle());
    }

    /// A short-lived token that allows pulling from one repository: for the platform's own pulls.
    pub fn mint_pull_token(&self, repository: &str) -> String {
        self.mint_token(vec![Scope::repository(repository, Actions::PULL)])
    }

    /// A short-lived token that allows `scopes`.
    pub fn mint_token(&self, scopes: Vec<Scope>) -> String {
        self.shared.auth.mint(scopes)
    }

    /// Drops idle uploads and unreferenced blobs every `sweep_period_s` until `stop`. To be run in one task.
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

    /// One round of what [`Registry::run`] does. A repository that cannot be swept is logged and left for the next round.
    pub async fn sweep(&self) {
        self.shared.uploads.expire();
        self.drop_orphans().await;
        let keep = self.shared.config.unreferenced_blob_keep();
        // Before the epoch when `keep` is absurdly long: then nothing is old enough.
        let Some(before) = SystemTime::now().checked_sub(keep) else { return };
        self.sweep_untagged().await;
        self.shared.repositories.sweep(before).await;
    }

    /// Every manifest with its tags and why it stays; those of a repository together, the last changed first.
    ///
    /// # Errors
    /// The metadata cannot be read.
    pub async fn images(&self) -> Result<Vec<StoredImage>, Error> {
        self.shared.repositories.stored().await
    }

    /// Removes manifests that for `keep` nothing leads to, and blobs that nothing names; or, in a dry run, says what would
    /// go. Content goes when the image store collects it.
    ///
    /// # Errors
    /// The metadata cannot be read.
    pub async fn prune(&self, keep: Duration, dry_run: bool) -> Result<Pruned, Error> {
        let (all, before) = (self.images().await?, stored::ago(keep));
        let images = if dry_run {
            stored::untagged(all.clone(), before)
        } else {
            self.shared.repositories.remove_untagged(before).await?
        };
        if !dry_run {
            self.shared.repositories.sweep(before).await;
        }
        Ok(Pruned { freed_bytes: stored::freed_bytes(&all, &images), images })
    }

    /// Removes untagged manifests when it is time; nothing soon after a start, when who uses them may not be known yet.
    async fn sweep_untagged(&self) {
        let Shared { config, content, repositories, untagged_swept, .. } = &*self.shared;
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
                tracing::info!(manifests = removed.len(), "untagged manifests removed")
            }
            Ok(_) => {}
            Err(error) => tracing::error!(error = error.chain(), "cannot remove untagged manifests"),
        }
    }

    /// Ends pins that a crash left, when the start is long enough ago.
    async fn drop_orphans(&self) {
        let Shared { content, repositories, orphans, .. } = &*self.shared;
        if content.keeps_all() || !orphans.load(Ordering::Relaxed) {
            return;
        }
        match repositories.drop_orphans().await {
            Ok(()) => orphans.store(false, Ordering::Relaxed),
            Err(error) => tracing::error!(error = error.chain(), "cannot end pins of the registry that a crash left"),
        }
    }
}
