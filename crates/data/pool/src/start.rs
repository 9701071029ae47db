//! The task of one instance: starts it, hands it to those who wait, and sees it end.

use std::sync::Arc;

use tokio::time::Instant;
use types::{InstanceId, RequestId, RunStatus};

use crate::error::LeaseError;
use crate::instance::{Instance, Lease};
use crate::launch::{ColdStart, LaunchError, Launched};
use crate::policy::instance_table::SlotIndex;
use crate::policy::queue::WaiterId;
use crate::shared::Shared;
use crate::version::VersionPool;

/// A start in progress. Dropping it unfinished (the task panicked or was aborted) fails those who wait for it.
pub(crate) struct Start<C: Default + Send + Sync + 'static> {
    shared: Arc<Shared<C>>,
    pool: Arc<VersionPool<C>>,
    purpose: Purpose,
    begun: Instant,
    finished: bool,
}

/// What a start is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Somebody waits.
    Request(WaiterId),
    /// The version's owner wants instances ready.
    Provisioned,
    /// Calls are expected.
    Expected,
    /// The version is not served yet: the start shows whether it can be.
    Check,
}

impl Purpose {
    fn trigger(self) -> WaiterId {
        match self {
            Self::Request(waiter) => waiter,
            Self::Provisioned | Self::Expected | Self::Check => WaiterId::NOBODY,
        }
    }
}

impl<C: Default + Send + Sync + 'static> Start<C> {
    /// Begins a start that the table and the admission have counted.
    pub fn begin(shared: &Arc<Shared<C>>, pool: &Arc<VersionPool<C>>, trigger: WaiterId, request: RequestId) {
        Self::begin_for(shared, pool, Purpose::Request(trigger), request);
    }

    /// The same for an instance that the version's owner wants ready.
    pub fn begin_ahead(shared: &Arc<Shared<C>>, pool: &Arc<VersionPool<C>>) {
        Self::begin_for(shared, pool, Purpose::Provisioned, RequestId::random());
    }

    /// The same for an instance that calls are expected to need.
    pub fn begin_expected(shared: &Arc<Shared<C>>, pool: &Arc<VersionPool<C>>) {
        Self::begin_for(shared, pool, Purpose::Expected, RequestId::random());
    }

    /// The same for one that checks a version; its outcome goes to [`crate::check::Check::ended`].
    pub fn begin_check(shared: &Arc<Shared<C>>, pool: &Arc<VersionPool<C>>) {
        Self::begin_for(shared, pool, Purpose::Check, RequestId::random());
    }

    fn begin_for(shared: &Arc<Shared<C>>, pool: &Arc<VersionPool<C>>, purpose: Purpose, request: RequestId) {
        let (shared, pool) = (Arc::clone(shared), Arc::clone(pool));
        let start = Self { shared: Arc::clone(&shared), pool, purpose, begun: Instant::now(), finished: false };
        shared.tasks.spawn(start.run(request));
    }

    async fn run(self, request: RequestId) {
        let id = InstanceId::random();
        let drained = self.pool.drained.clone();
        let outcome = tokio::select! {
            biased;
            () = drained.cancelled() => Err(self.pool.superseded()),
            outcome = self.launch(id.clone(), request) => outcome.map_err(LeaseError::from),
        };
        match outcome {
            Ok(launched) => self.serve(id, launched).await,
            Err(error) => self.fail(&error),
        }
    }

    async fn launch(&self, id: InstanceId, request: RequestId) -> Result<Launched, LaunchError> {
        // Its own first: who waits for one of those holds none of all.
        let _own = self.pool.starting.acquire().await.expect("the semaphore of starts is never closed");
        let _permit = self.shared.starting.acquire().await.expect("the semaphore of starts is never closed");
        let (launch, version) = (&self.shared.launch, Arc::clone(&self.pool.version));
        match self.purpose {
            Purpose::Provisioned => launch.launch_ahead(id, version, request).await,
            Purpose::Expected | Purpose::Check => launch.launch_unrecorded(id, version, request).await,
            Purpose::Request(_) => launch.launch(id, version, request).await,
        }
    }

    async fn serve(mut self, id: InstanceId, launched: Launched) {
        self.finished = true;
        let (shared, pool) = (Arc::clone(&self.shared), Arc::clone(&self.pool));
        let process = Arc::clone(&launched.process);
        let instance = Arc::new(Instance::new(id, Arc::clone(&process), Arc::clone(&pool.version), C::default()));
        let slot = self.hand_out(&instance, launched.cold_start);
        if self.purpose == Purpose::Check {
            pool.check.ended(Ok(()));
        }
        let recovered = pool.backoff.lock().succeeded();
        if recovered || self.purpose == Purpose::Provisioned {
            pool.provisioned.lock().succeeded();
        }
        drop(self);
        if recovered {
            // One was started at a time until now.
            shared.start_wanted(&pool);
        }
        process.ended().await;
        pool.table.lock().ended(slot);
        {
            let mut admission = shared.admission.lock();
            // Marking it here keeps whoever kills it from now on from counting it as ending for ever.
            let told = !instance.tell_to_end();
            admission.release(&pool.version.key.function_id, pool.version.spec.memory_mb, told);
        }
        drop(instance);
        shared.feed();
        shared.start_wanted(&pool);
    }

    fn hand_out(&self, instance: &Arc<Instance<C>>, cold: ColdStart) -> SlotIndex {
        let (trigger, took) = (self.purpose.trigger(), cold.total());
        let started = self.pool.table.lock().started(Arc::clone(instance), trigger, took, Instant::now());
        if started.end {
            self.shared.end(instance);
        }
        let mut cold = Some(cold);
        for waiter in started.granted {
            let (shared, pool) = (Arc::clone(&self.shared), Arc::clone(&self.pool));
            let lease = Lease::new(shared, pool, Arc::clone(instance), started.slot, cold.take());
            // A caller that went away meanwhile does not take it; dropping what comes back returns the lease.
            drop(waiter.answer.send(Ok(lease)));
        }
        // Those who wait come first.
        self.shared.start_next(&self.pool, Instant::now());
        started.slot
    }

    fn fail(mut self, error: &LeaseError) {
        self.finished = true;
        self.give_back(error);
    }

    fn give_back(&self, error: &LeaseError) {
        let version = &self.pool.version;
        if let LeaseError::Launch(error) = error {
            self.pool.backoff.lock().failed(error, self.begun, Instant::now());
        }
        let failed = match self.purpose {
            Purpose::Request(trigger) => self.pool.table.lock().start_failed(trigger),
            Purpose::Provisioned => {
                self.pool.table.lock().ahead_failed();
                let now = Instant::now();
                let backs_off = self.pool.backoff.lock().in_the_way(now, 0).is_some();
                let mut provisioned = self.pool.provisioned.lock();
                match backs_off {
                    true => provisioned.start_failed(error.to_string()),
                    false => provisioned.failed(error.to_string(), now),
                }
                Vec::new()
            }
            Purpose::Check => {
                self.pool.table.lock().ahead_failed();
                self.pool.check.ended(Err(error.clone()));
                Vec::new()
            }
            Purpose::Expected => {
                self.pool.table.lock().expected_failed();
                tracing::info!(function = %version.function.key, %error, "an instance was not started ahead of calls");
                Vec::new()
            }
        };
        self.shared.admission.lock().release(&version.key.function_id, version.spec.memory_mb, false);
        for waiter in failed {
            drop(waiter.answer.send(Err(error.clone())));
        }
        self.shared.feed();
        self.shared.start_wanted(&self.pool);
    }
}

impl<C: Default + Send + Sync + 'static> Drop for Start<C> {
    fn drop(&mut self) {
        if !self.finished {
            self.give_back(&LeaseError::Launch(LaunchError {
                status: RunStatus::InternalError,
                message: format!("the start of an instance of {} was cut short", self.pool.version.function.key),
                detail: String::new(),
                cold_start: ColdStart::default(),
                peak_bytes: 0,
            }));
        }
    }
}
