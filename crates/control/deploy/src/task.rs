//! The reconciler task: passes, running preparations, and their outcomes. Decisions are in `plan`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use store::Store;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use types::{Catalog, CatalogFunction, FunctionKey, StatusReason, VersionKey};

use crate::config::Config;
use crate::error::Error;
use crate::owner;
use crate::plan::{View, plan};
use crate::preparation::{End, Preparer, Stage};
use crate::prepare::Prepare;
use crate::scope::{Changed, Scope};
use crate::start_check::StartCheck;

/// The state of the task.
pub(crate) struct Reconciler<P, S: StartCheck> {
    store: Store,
    images: Arc<P>,
    preparer: Arc<Preparer<P, S>>,
    config: Config,
    tasks: JoinSet<End<S::Started>>,
    running: HashMap<Id, Running>,
    /// Notified when a preparation begins its start check.
    stages: Arc<Notify>,
    /// Outcomes that the store has not recorded yet.
    ended: Vec<Ended<S::Started>>,
    /// Functions whose images may have to be unpinned.
    changed: Changed,
    /// End of the time in which images of functions that the database does not name are kept;
    /// `None` afterwards.
    keep_unknown_until: Option<Instant>,
}

struct Running {
    key: VersionKey,
    function: FunctionKey,
    stage: Stage,
    cancel: CancellationToken,
}

struct Ended<E> {
    key: VersionKey,
    function: FunctionKey,
    end: End<E>,
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
        let now = Instant::now();
        Self {
            store,
            images,
            preparer: Arc::new(preparer),
            changed: Changed::new(config.poll_interval(), now),
            keep_unknown_until: Some(now + config.unknown_keep()),
            config,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            stages: Arc::default(),
            ended: Vec::new(),
        }
    }

    /// Runs passes until the shutdown, then cancels running preparations.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let (mut changes, stages) = (self.store.changes(), self.stages.clone());
        loop {
            let pause = self.pass_or_pause().await;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(joined) = self.tasks.join_next_with_id() => self.note_end(joined),
                // `self` holds the store, so the sender exists.
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

    /// Runs a pass; returns the pause before the next one, unless an event comes first.
    async fn pass_or_pause(&mut self) -> Duration {
        match self.pass().await {
            Ok(()) => self.config.poll_interval(),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a pass of the deployer failed; retrying");
                self.config.retry_pause()
            }
        }
    }

    async fn pass(&mut self) -> Result<(), Error> {
        self.settle().await?;
        let (view, scope) = self.view().await?;
        let plan = plan(&view);
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
        self.changed.done(&scope, Instant::now());
        Ok(())
    }

    /// Observes the state; pins and serving versions only of the functions in the scope of the
    /// pass.
    async fn view(&mut self) -> Result<(View, Scope), Error> {
        let now = Instant::now();
        if self.keep_unknown_until.is_some_and(|until| now >= until) {
            self.keep_unknown_until = None;
            self.changed.resync(now);
        }
        // The catalog is read before the database, so that concurrent writes are in the next scope
        // too.
        self.changed.follow(&self.store.catalog().load(), now);
        let scope = self.changed.scope(now);
        let pending = self.store.pending().await?;
        let deleting = self.store.deleting().await?;
        let owners = |prefix: &str| self.images.owners(prefix);
        let pinned = match &scope {
            Scope::All => owners(owner::PREFIX),
            Scope::Functions(some) => {
                let known = deleting.iter().filter(|id| !some.contains_key(*id));
                some.keys().chain(known).flat_map(|id| owners(&owner::of_function(id))).collect()
            }
        };
        let running = self.running.values().map(|running| running.key.clone());
        let view = View {
            keep_all: self.keep_unknown_until.is_some(),
            pending,
            deleting,
            serving: serving(&self.store.catalog().load(), &scope),
            busy: running.chain(self.ended.iter().map(|ended| ended.key.clone())).collect(),
            checking: self.running.values().filter(|running| running.stage.is_checking()).count(),
            pinned,
            parallel_max: self.config.parallel_max.max(1),
        };
        Ok((view, scope))
    }

    async fn start(&mut self, key: VersionKey) -> Result<(), Error> {
        // A change after the plan was computed is in the next pass.
        let Some(pending) = self.store.pending_version(&key).await? else { return Ok(()) };
        let cancel = CancellationToken::new();
        let stage = Stage::new(&self.stages);
        let function = pending.record.key.clone();
        let (version, generation) = (key.version, key.generation);
        let span = tracing::info_span!("deploy", %function, %version, generation);
        let work = self.preparer.clone().run(key.clone(), pending, stage.clone(), cancel.clone()).instrument(span);
        let id = self.tasks.spawn(work).id();
        self.running.insert(id, Running { key, function, stage, cancel });
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
        if let Some(Running { key, function, .. }) = self.running.remove(&id) {
            self.ended.push(Ended { key, function, end });
        }
    }

    /// Records outcomes in the store. An outcome that the store does not accept stays queued, so
    /// that its version is not prepared again.
    async fn settle(&mut self) -> Result<(), Error> {
        while let Some(Ended { key, function, end }) = self.ended.last() {
            match end {
                // The started instance is released only after the version serves it.
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
            // Its pins may be unneeded although the catalog did not change.
            self.changed.add(key.function_id.clone(), function.clone());
            self.ended.pop();
        }
        Ok(())
    }
}

/// Serving versions in scope.
fn serving(catalog: &Catalog, scope: &Scope) -> Vec<VersionKey> {
    let of = |function: &CatalogFunction| -> Vec<VersionKey> {
        function.versions.values().map(|version| version.key.clone()).collect()
    };
    match scope {
        Scope::All => catalog.functions.values().flat_map(|function| of(function)).collect(),
        Scope::Functions(some) => {
            some.values().filter_map(|key| catalog.functions.get(key)).flat_map(|function| of(function)).collect()
        }
    }
}
