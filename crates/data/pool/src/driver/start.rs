//! The task of one instance: starts it, serves waiting requests, and follows it to its end.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use types::{InstanceId, RequestId, RunStatus};

use super::{Driver, resolve};
use crate::error::LeaseError;
use crate::instance::Instance;
use crate::launch::{ColdStart, LaunchError, Launched};
use crate::policy::instance_table::SlotIndex;
use crate::state::StartReason;
use crate::version::Version;

/// A start in progress. Dropping it unfinished (the task panicked or was aborted) fails the
/// requests that wait for it.
pub(super) struct Start<C: Default + Send + Sync + 'static> {
    driver: Arc<Driver<C>>,
    version: Arc<Version<C>>,
    reason: StartReason,
    begun: Instant,
    /// Restarts of the version before it.
    restarts: u64,
    finished: bool,
}

impl<C: Default + Send + Sync + 'static> Start<C> {
    /// Begins a start that was counted by the version's state and admission.
    pub fn begin(
        driver: &Arc<Driver<C>>,
        version: &Arc<Version<C>>,
        (reason, restarts): (StartReason, u64),
        of: (RequestId, Option<Bytes>),
    ) {
        let (owner, version) = (Arc::clone(driver), Arc::clone(version));
        let start = Self { driver: owner, version, reason, begun: Instant::now(), restarts, finished: false };
        driver.spawn(start.run(of));
    }

    async fn run(self, of: (RequestId, Option<Bytes>)) {
        let id = InstanceId::random();
        let drained = self.version.drained.clone();
        let outcome = tokio::select! {
            biased;
            () = drained.cancelled() => Err(self.version.superseded()),
            outcome = self.launch(id.clone(), of) => outcome.map_err(LeaseError::from),
        };
        match outcome {
            Ok(launched) => self.serve(id, launched).await,
            Err(error) => self.fail(&error),
        }
    }

    async fn launch(
        &self,
        id: InstanceId,
        (request, event): (RequestId, Option<Bytes>),
    ) -> Result<Launched, LaunchError> {
        // The version's own permit first: a start that waits for it holds no global permit.
        let _own = self.version.starting.acquire().await.expect("the semaphore of starts is never closed");
        let permit = self.driver.starting.acquire().await.expect("the semaphore of starts is never closed");
        let (launch, version) = (&self.driver.launch, Arc::clone(&self.version.catalog));
        let mut launched = match self.reason {
            StartReason::Request(_) if let Some(event) = event => launch.launch_job(id, version, request, event),
            StartReason::Provisioned => launch.launch_ahead(id, version, request),
            StartReason::Forecast => launch.launch_unrecorded(id, version, request),
            StartReason::Check => launch.launch_check(id, version, request),
            StartReason::Request(_) => launch.launch(id, version, request),
        };
        if let Ok(launched) = timeout(self.driver.config.start_hold_max(), &mut launched).await {
            return launched;
        }
        // From here on it waits for its server, which costs the platform no work.
        drop(permit);
        launched.await
    }

    async fn serve(mut self, id: InstanceId, launched: Launched) {
        self.finished = true;
        let (driver, version, reason) = (Arc::clone(&self.driver), Arc::clone(&self.version), self.reason);
        let process = Arc::clone(&launched.process);
        let instance = Arc::new(Instance::new(id, Arc::clone(&process), Arc::clone(&version.catalog), C::default()));
        let slot = self.hand_out(&instance, launched.cold_start);
        drop(self);
        if driver.apply(&version, |locked, _, _| locked.state.recovered(reason)) {
            // Until now one start at a time was allowed.
            driver.start_wanted(&version);
        }
        process.ended().await;
        driver.apply(&version, |locked, _, effects| locked.state.ended(slot, effects));
        {
            let mut admission = driver.admission.lock();
            // Marking it here prevents a later kill from counting it as ending for ever.
            let told = !instance.tell_to_end();
            admission.release(&version.catalog.key.function_id, version.catalog.spec.memory_mb, told);
        }
        drop(instance);
        driver.retry_claims();
        driver.start_wanted(&version);
    }

    fn hand_out(&self, instance: &Arc<Instance<C>>, cold: ColdStart) -> SlotIndex {
        let (mut effects, now) = (Vec::new(), Instant::now());
        let (slot, actions, check) = {
            let mut locked = self.version.locked.lock();
            let age = locked.state.age(self.restarts);
            let slot = locked.state.started(self.reason, age, cold.total(), now, &mut effects);
            locked.place(slot, Arc::clone(instance));
            let check = locked.check.take_if(|_| self.reason == StartReason::Check);
            (slot, resolve(&mut locked, effects, Some(cold)), check)
        };
        self.driver.perform(&self.version, actions);
        // Waiting requests come first.
        self.driver.start_next(&self.version);
        if let Some(check) = check {
            // The check may have been cancelled.
            let _ = check.send(Ok(()));
        }
        slot
    }

    fn fail(mut self, error: &LeaseError) {
        self.finished = true;
        self.give_back(error);
    }

    fn give_back(&self, error: &LeaseError) {
        let catalog = &self.version.catalog;
        if self.reason == StartReason::Forecast {
            tracing::info!(function = %catalog.function.key, %error, "failed to prewarm an instance");
        }
        // Its room comes free before the requests that waited for it are answered.
        let (mut effects, now) = (Vec::new(), Instant::now());
        let (actions, check) = {
            let mut locked = self.version.locked.lock();
            let age = locked.state.age(self.restarts);
            locked.state.start_failed((self.reason, age), error, self.begun, now, &mut effects);
            let check = locked.check.take_if(|_| self.reason == StartReason::Check);
            (resolve(&mut locked, effects, None), check)
        };
        self.driver.admission.lock().release(&catalog.key.function_id, catalog.spec.memory_mb, false);
        self.driver.perform(&self.version, actions);
        if let Some(check) = check {
            let _ = check.send(Err(error.clone()));
        }
        self.driver.retry_claims();
        self.driver.start_wanted(&self.version);
    }
}

impl<C: Default + Send + Sync + 'static> Drop for Start<C> {
    fn drop(&mut self) {
        if !self.finished {
            self.give_back(&LeaseError::Launch(LaunchError {
                status: RunStatus::InternalError,
                message: format!("the start of an instance of {} was cut short", self.version.catalog.function.key),
                detail: String::new(),
                cold_start: ColdStart::default(),
                peak_bytes: 0,
            }));
        }
    }
}
