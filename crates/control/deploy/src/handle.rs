//! The public handle: starts the task and waits for its end.

use std::sync::Arc;

use store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::prepare::Prepare;
use crate::repair::Repair;
use crate::start_check::StartCheck;
use crate::task::Reconciler;

/// A running deployer.
#[derive(Debug)]
pub struct Deploy {
    task: JoinHandle<()>,
    repair: JoinHandle<()>,
}

impl Deploy {
    /// Starts deploying, beginning with work that an earlier process left. Must be called within a
    /// tokio runtime. Ends when `shutdown` is cancelled; unfinished preparations stay pending.
    pub fn start(
        store: Store,
        images: impl Prepare,
        starts: impl StartCheck,
        config: Config,
        shutdown: CancellationToken,
    ) -> Self {
        let (images, starts) = (Arc::new(images), Arc::new(starts));
        let repair = {
            let (store, images, config, shutdown) = (store.clone(), images.clone(), config.clone(), shutdown.clone());
            move || Repair::new(store.clone(), images.clone(), config.clone()).run(shutdown.clone())
        };
        let repair = tokio::spawn(supervisor::restarting("image repair", repair));
        // All state is in the store, so a restarted task resumes the work.
        let run = move || {
            Reconciler::new(store.clone(), images.clone(), starts.clone(), config.clone()).run(shutdown.clone())
        };
        Self { task: tokio::spawn(supervisor::restarting("deployer", run)), repair }
    }

    /// Waits until the task and its preparations have ended after the shutdown.
    pub async fn join(self) {
        for (name, task) in [("deploys functions", self.task), ("repairs images", self.repair)] {
            if let Err(error) = task.await {
                tracing::error!(%error, "the task that {name} ended early");
            }
        }
    }
}
