//! Background tasks of the handle: periodic collection, and work without a waiting caller.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Collected;
use crate::Error;

/// The running tasks; dropping this stops them.
pub(crate) struct BackgroundTasks {
    stop: CancellationToken,
    task: parking_lot::Mutex<Option<JoinHandle<()>>>,
    others: TaskTracker,
}

impl BackgroundTasks {
    /// Collects every `interval`, until stopped or until `collect` returns `None`, which it does
    /// once the store is closed.
    pub(crate) fn start<F>(interval: Duration, collect: impl Fn() -> Option<F> + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Collected, Error>> + Send,
    {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            supervisor::restarting("garbage collection", || collect_every(interval, &collect, &stopped)).await;
        });
        Self { stop, task: parking_lot::Mutex::new(Some(task)), others: TaskTracker::new() }
    }

    /// Runs `work` until it ends or is stopped.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stop.clone();
        self.others.spawn(async move {
            tokio::select! {
                biased;
                () = stopped.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Stops the task and waits for its end; a collection in progress is completed.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // The runtime's panic hook has reported a panic in it.
            let _ = task.await;
        }
        self.others.close();
        self.others.wait().await;
    }
}

async fn collect_every<F>(interval: Duration, collect: &(impl Fn() -> Option<F> + Send), stopped: &CancellationToken)
where
    F: Future<Output = Result<Collected, Error>> + Send,
{
    loop {
        tokio::select! {
            biased;
            () = stopped.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let Some(collection) = collect() else { return };
        match collection.await {
            Ok(collected) if collected != Collected::default() => {
                tracing::info!(?collected, "removed unreferenced content");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(error = error.report(), "garbage collection failed"),
        }
    }
}

impl Drop for BackgroundTasks {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
