//! Keeps the images of active versions complete: restores lost pins, and prepares missing or
//! damaged images again, by digest.

use std::collections::HashSet;
use std::sync::Arc;

use store::Store;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use types::{CatalogVersion, ImageRef, StatusReason, VersionKey};

use crate::config::Config;
use crate::owner;
use crate::prepare::{Prepare, PrepareRequest};

/// The state of the task.
pub(crate) struct Repair<P> {
    store: Store,
    images: Arc<P>,
    config: Config,
    /// Permits of concurrent preparations.
    room: Arc<Semaphore>,
    tasks: JoinSet<VersionKey>,
    running: HashSet<VersionKey>,
    /// Whether a pass skipped a version because its preparation runs: the image may have been
    /// damaged again since.
    left_alone: bool,
}

impl<P: Prepare> Repair<P> {
    pub(crate) fn new(store: Store, images: Arc<P>, config: Config) -> Self {
        let room = Arc::new(Semaphore::new(config.parallel_max.max(1)));
        Self { store, images, config, room, tasks: JoinSet::new(), running: HashSet::new(), left_alone: false }
    }

    /// Checks at the start, when damage is found, and at intervals, until the shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut damage = self.images.damage();
        loop {
            damage.mark_unchanged();
            if shutdown.run_until_cancelled(self.pass()).await.is_none() {
                break;
            }
            let pause = tokio::time::sleep(self.config.repair_interval());
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return self.tasks.shutdown().await,
                    Some(ended) = self.tasks.join_next() => {
                        self.note_end(ended);
                        if std::mem::take(&mut self.left_alone) {
                            break;
                        }
                    }
                    Ok(()) = damage.changed() => break,
                    () = &mut pause => break,
                }
            }
        }
        self.tasks.shutdown().await;
    }

    fn note_end(&mut self, ended: Result<VersionKey, tokio::task::JoinError>) {
        match ended {
            Ok(key) => drop(self.running.remove(&key)),
            Err(error) => {
                tracing::error!(%error, "a repair ended unexpectedly");
                // The version of the failed task is unknown, so all may be retried.
                self.running.clear();
            }
        }
    }

    async fn pass(&mut self) {
        let catalog = self.store.catalog().load_full();
        let versions = catalog.functions.values().flat_map(|function| function.versions.values());
        for version in versions {
            if self.running.contains(&version.key) {
                self.left_alone = true;
                continue;
            }
            let owner = owner::of(&version.key);
            match self.images.keep(&owner, &version.image.digest).await {
                Ok(true) => {}
                Ok(false) => self.prepare(version.clone(), owner),
                Err(reason) => warn(version, &reason),
            }
        }
    }

    fn prepare(&mut self, version: Arc<CatalogVersion>, owner: String) {
        let (images, room) = (self.images.clone(), self.room.clone());
        self.running.insert(version.key.clone());
        self.tasks.spawn(async move {
            let _room = room.acquire().await;
            let image = match version.spec.image.uri.parse::<ImageRef>() {
                Ok(named) => named.pinned(version.image.digest.clone()),
                // Cannot fail: it was parsed at the deployment.
                Err(_) => return version.key.clone(),
            };
            let registry_id = version.spec.image.registry_id.clone();
            let request = PrepareRequest { image, registry_id, owner, progress: Arc::new(|_| ()) };
            match images.prepare(request).await {
                Ok(prepared) => {
                    let version = owner::of(&version.key);
                    tracing::info!(version, image = %prepared.digest, "restored a damaged image");
                }
                Err(reason) => warn(&version, &reason),
            }
            version.key.clone()
        });
    }
}

fn warn(version: &CatalogVersion, reason: &StatusReason) {
    let (name, image) = (owner::of(&version.key), &version.image.digest);
    let StatusReason { error_code, error_message } = reason;
    tracing::warn!(
        version = name,
        %image,
        error_code,
        error_message,
        "cannot restore the damaged image of an active version; deploy it again"
    );
}
