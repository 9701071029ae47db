//! The handle: starting the task and waiting for its end.

use std::sync::Arc;

use store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::prepare::Prepare;
use crate::start_check::StartCheck;
use crate::task::Reconciler;

/// Deploying, as it runs.
#[derive(Debug)]
pub struct Deploy {
    task: JoinHandle<()>,
}

impl Deploy {
    /// Begins to deploy: first whatever an earlier run left to do, then what changes. Must be called within a tokio
    /// runtime. Ends when `shutdown` is cancelled; what is being prepared then stays to be done.
    pub fn start(
        store: Store,
        images: impl Prepare,
        starts: impl StartCheck,
        config: Config,
        shutdown: CancellationToken,
    ) -> Self {
        let reconciler = Reconciler::new(store, Arc::new(images), Arc::new(starts), config);
        Self { task: tokio::spawn(reconciler.run(shutdown)) }
    }

    /// Waits until deploying has ended after the shutdown, its preparations included.
    pub async fn join(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that deploys functions ended before its time");
        }
    }
}
