//! Stops the platform: parts that accept work first, parts that hold the machine's state last.

use std::time::{Duration, Instant};

use super::RunningPlatform;

/// Least time for requests on the control address to finish at shutdown.
const CONTROL_GRACE_MIN: Duration = Duration::from_secs(1);
/// Most aborted runs that are logged by name.
const LOGGED_RUNS_MAX: usize = 100;
/// Longest wait for the final commits of aborted runs.
const EVENTS_SETTLE_MAX: Duration = Duration::from_secs(5);

impl RunningPlatform {
    /// Stops accepting work, waits for work in flight within `grace`, then stops all parts and
    /// removes their mounts, cgroups and processes. The last part of the grace, at most half, is
    /// left for instances with open requests to handle their stop signal.
    pub async fn stop(self, grace: Duration) {
        supervisor::stop();
        self.signals.listening.cancel();
        let stop_grace = self.work.invoker.stop_grace().min(grace / 2);
        let deadline = Instant::now() + grace - stop_grace;
        let left = || deadline.saturating_duration_since(Instant::now());
        if tokio::time::timeout(left(), self.gateway.join()).await.is_err() {
            tracing::warn!(grace_s = grace.as_secs(), "grace period passed; aborting requests in flight");
        }
        tokio::time::timeout(left(), self.triggers.timers.join()).await.ok();
        tokio::time::timeout(left(), self.triggers.polling.join()).await.ok();
        if !self.work.events.drain(left()).await {
            let running = self.work.events.under_way();
            for (request, function) in running.iter().take(LOGGED_RUNS_MAX) {
                tracing::warn!(%request, %function, "the run of an event exceeds the grace period; aborting it");
            }
            tracing::warn!(
                runs = running.len(),
                "events run again at the next start, unless their function has AsyncRunEnable; [drain_s] waits for them"
            );
        }
        self.work.invoker.drain(left(), stop_grace).await;
        // Stores the ends of aborted runs, so that the next start does not count them as killed.
        self.work.events.drain(EVENTS_SETTLE_MAX).await;
        self.signals.answering.cancel();
        // An open connection to the control address must not delay the stop.
        tokio::time::timeout(left().max(CONTROL_GRACE_MIN), self.control).await.ok();
        self.signals.running.cancel();
        self.work.deploy.join().await;
        self.sweeping.await.ok();
        self.storage.images.shutdown().await;
        self.sandboxes.shutdown().await;
        self.work.volumes.close();
        self.storage.secrets.flush();
        self.storage.logs.shutdown().await;
        self.storage.store.close().await;
    }
}
