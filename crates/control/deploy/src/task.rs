//! The one task that deploys: passes, running preparations, and their ends. Decisions are in `plan`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use store::Store;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use types::{StatusReason, VersionKey};

use crate::config::Config;
use crate::error::Error;
use crate::owner;
use crate::plan::{View, plan};
use crate::preparation::{End, Preparer, Stage};
use crate::prepare::Prepare;
use crate::start_check::StartCheck;

/// The state of the task.
pub(crate) struct Reconciler<P, S: StartCheck> {
    store: Store,
    images: Arc<P>,
    preparer: Arc<Preparer<P, S>>,
    config: Config,
    tasks: JoinSet<End<S::Started>>,
    running: HashMap<Id, Running>,
    /// A preparation has its image.
    stages: Arc<Notify>,
    /// Ends that the store has not taken yet.
    ended: Vec<(VersionKey, End<S::Started>)>,
    started: Instant,
}

struct Running {
    key: VersionKey,
    stage: Stage,
    cancel: CancellationToken,
}

impl<P: Prepare, S: StartCheck> Reconciler<P, S> {
    pub(crate) fn new(store: Store, images: Arc<P>, starts: Arc<S>, config: Config) -> Self {
        let preparer = Preparer {
            store: store.clone(),
            images: images.clone(),
            starts,
            checks: Semaphore::new(config.start_checks_parallel_max.clamp(1, Semaphore::MAX_PERMITS)),
            room_wait_max: config.start_check_room_wait(),
        };
        Self {
            store,
            images,
            preparer: Arc::new(preparer),
            config,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            stages: Arc::default(),
            ended: Vec::new(),
            started: Instant::now(),
        }
    }

    /// Passes until the shutdown, then ends what runs.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let (mut changes, stages) = (self.store.changes(), self.stages.clone());
        loop {
            let pause = self.pass_or_pause().await;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(joined) = self.tasks.join_next_with_id() => self.note_end(joined),
                // The store lives in `self`, so the sender does too.
                _ = changes.changed() => {}
                () = stages.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        for running in self.running.values() {
            running.cancel.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// One pass; how long to wait for the next one if nothing happens.
    async fn pass_or_pause(&mut self) -> Duration {
        match self.pass().await {
            Ok(()) => self.config.poll_interval(),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "deploying is held up and will be tried again"
                );
                self.config.retry_pause()
            }
        }
    }

    async fn pass(&mut self) -> Result<(), Error> {
        self.settle().await?;
        let plan = plan(&self.view().await?);
        for running in self.running.values().filter(|running| plan.cancel.contains(&running.key)) {
            running.cancel.cancel();
        }
        for key in plan.start {
            self.start(key).await?;
        }
        for owner in plan.unpin {
            self.images.unpin(&owner).await.map_err(|reason| Error::Unpin { owner, reason })?;
        }
        for id in plan.finish {
            self.store.finish_delete(&id).await?;
            tracing::info!(function = %id, "function deleted");
        }
        Ok(())
    }

    async fn view(&self) -> Result<View, Error> {
        let pending = self.store.pending().await?;
        let deleting = self.store.deleting().await?;
        let catalog = self.store.catalog().load_full();
        let versions = catalog.functions.values().flat_map(|function| function.versions.values());
        let running = self.running.values().map(|running| running.key.clone());
        Ok(View {
            keep_all: self.started.elapsed() < self.config.unknown_keep(),
            pending,
            deleting,
            serving: versions.map(|version| version.key.clone()).collect(),
            busy: running.chain(self.ended.iter().map(|(key, _)| key.clone())).collect(),
            checking: self.running.values().filter(|running| running.stage.is_checking()).count(),
            pinned: self.images.owners(owner::PREFIX),
            parallel_max: self.config.parallel_max.max(1),
        })
    }

    async fn start(&mut self, key: VersionKey) -> Result<(), Error> {
        // A change that came since the plan was made is in the next one.
        let Some(pending) = self.store.pending_version(&key).await? else { return Ok(()) };
        let cancel = CancellationToken::new();
        let stage = Stage::new(&self.stages);
        let work = self.preparer.clone().run(key.clone(), pending, stage.clone(), cancel.clone());
        let id = self.tasks.spawn(work).id();
        self.running.insert(id, Running { key, stage, cancel });
        Ok(())
    }

    fn note_end(&mut self, joined: Result<(Id, End<S::Started>), JoinError>) {
        let (id, end) = match joined {
            Ok(ended) => ended,
            Err(error) => {
                tracing::error!(%error, "a preparation panicked");
                (error.id(), End::panicked())
            }
        };
        if let Some(running) = self.running.remove(&id) {
            self.ended.push((running.key, end));
        }
    }

    /// Gives the ends to the store. One that it does not take stays here, so that nothing is prepared again for it.
    async fn settle(&mut self) -> Result<(), Error> {
        while let Some((key, end)) = self.ended.last() {
            match end {
                // What has started is served from here on, and is let go of only then.
                End::Prepared(image, _started) => {
                    if self.store.mark_active(key, image.clone()).await? {
                        tracing::info!(version = %owner::of(key), image = %image.digest, "version active");
                    }
                }
                End::Failed(reason) => {
                    if self.store.mark_failed(key, reason.clone()).await? {
                        let StatusReason { error_code, error_message } = reason;
                        tracing::info!(version = %owner::of(key), error_code, error_message, "version failed");
                    }
                }
                End::Cancelled => {}
            }
            self.ended.pop();
        }
        Ok(())
    }
}
