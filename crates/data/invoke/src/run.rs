//! An invocation on its instance: its deadline, and the failure when the instance or its connection
//! broke.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use pool::{ExitStatus, Lease};
use tokio::time::{Instant, sleep_until, timeout};
use types::RunStatus;

use crate::cancellation::Cancellation;
use crate::failure::Failure;
use crate::upstream::{Abandoned, InFlight, Stopped, UpstreamError, UpstreamState};

/// A lease while a request runs on it.
pub(crate) struct Run {
    pub lease: Lease<UpstreamState>,
    pub started: Instant,
    /// The instance serves one request at a time: its output is this request's, and it is killed
    /// when this request hangs.
    pub alone: bool,
    pub in_flight: InFlight,
}

impl Run {
    /// A run that starts now.
    pub fn new(lease: Lease<UpstreamState>) -> Self {
        let alone = lease.version.spec.max_concurrency(lease.version.function.kind) == 1;
        Self { lease, started: Instant::now(), alone, in_flight: InFlight::default() }
    }

    pub fn deadline(&self) -> Instant {
        self.started + Duration::from_secs(u64::from(self.lease.version.spec.timeout_s))
    }

    /// Does `work` unless the run is cancelled first. An instance that serves it alone and is being
    /// stopped keeps its request until it has ended: its response no longer counts.
    pub async fn until_canceled<T>(
        &self,
        cancellation: Option<&Cancellation>,
        work: impl Future<Output = Result<T, Stopped>>,
    ) -> Result<T, Stopped> {
        let Some(cancellation) = cancellation else { return work.await };
        let mut work = pin!(work);
        tokio::select! {
            biased;
            () = cancellation.requested() => {}
            done = &mut work => return done,
        }
        if self.alone && !cancellation.is_at_once() {
            self.lease.stop();
            tokio::select! {
                biased;
                () = cancellation.at_once() => {}
                _ = &mut work => {}
            }
        }
        Err(Stopped::Canceled(cancellation.clone()))
    }

    /// Ends the instance of a cancelled run, and waits for it however long the kernel takes: the
    /// run has ended only when none of its processes runs. With other requests in it, the instance
    /// is kept.
    pub async fn end_canceled(&self, cancellation: &Cancellation) {
        if !self.alone {
            return;
        }
        if !cancellation.is_at_once() {
            self.lease.stop();
        }
        let ended = self.lease.process.ended();
        tokio::select! {
            biased;
            () = cancellation.at_once() => self.lease.kill(),
            _ = ended => return,
        }
        self.lease.process.ended().await;
    }

    /// Waits until the server has released an abandoned request, for at most the time limit of the
    /// run; an instance that serves it alone hangs then, and is killed.
    pub async fn until_released(&self, abandoned: Abandoned) {
        let ended = self.lease.process.ended();
        tokio::select! {
            biased;
            // An error is a connection that the server has reset.
            _ = abandoned.until_released() => {}
            _ = ended => {}
            () = sleep_until(self.deadline()) => {
                if self.alone {
                    self.lease.kill();
                }
            }
        }
    }

    /// Retires an instance that hangs or has ended, so that it gets no further request. One that
    /// hangs is killed, and its end waited for, so that its last output can be read completely.
    pub async fn retire_after(&mut self, outcome: Result<(), &Failure>, exit_wait_max: Duration) {
        let of_instance = outcome.err().filter(|failure| !failure.of_connection);
        match of_instance.map(|failure| failure.status) {
            Some(RunStatus::TimeLimitReached) if self.alone => {
                self.lease.returning();
                self.lease.kill();
                drop(timeout(exit_wait_max, self.lease.process.ended()).await);
            }
            Some(RunStatus::UserProcessExited | RunStatus::MemoryLimitReached | RunStatus::PortBindingFailed) => {
                self.lease.recycle();
            }
            _ => {}
        }
    }

    /// Peak memory of the instance so far.
    pub fn peak_bytes(&self, now: Instant) -> u64 {
        match self.alone {
            true => self.lease.process.memory_peak_bytes(),
            false => self.lease.slot.peak_bytes(&self.lease.process, now),
        }
    }

    /// The failure of an upstream request.
    pub async fn failure(&self, stopped: Stopped, exit_wait_max: Duration) -> Failure {
        match stopped {
            Stopped::TimedOut => self.timed_out(),
            Stopped::Ended(ended) => self.ended(&ended),
            Stopped::Canceled(cancellation) => {
                self.end_canceled(&cancellation).await;
                Failure::terminated()
            }
            Stopped::Failed(UpstreamError::BadResponse(failure)) => *failure,
            Stopped::Failed(UpstreamError::ConnectionLost(detail)) => self.why_lost(&detail, exit_wait_max).await,
            Stopped::Failed(UpstreamError::Unreachable { error, .. }) => {
                let port = self.lease.version.spec.image.port;
                self.ended_or(exit_wait_max, || Failure::unreachable(port, &error.to_string())).await
            }
        }
    }

    /// The failure of a broken connection: the instance has ended, or its server closed it.
    pub async fn why_lost(&self, detail: &str, exit_wait_max: Duration) -> Failure {
        self.ended_or(exit_wait_max, || Failure::broken(detail)).await
    }

    /// The failure of a run over its time limit. If the instance exceeded its memory, that was the
    /// cause, and the kernel may take seconds to end it.
    pub fn timed_out(&self) -> Failure {
        if self.lease.process.out_of_memory() {
            self.over_memory()
        } else {
            Failure::timed_out(self.lease.version.spec.timeout_s)
        }
    }

    /// The failure of the run when its instance ended.
    pub fn ended(&self, ended: &ExitStatus) -> Failure {
        Failure::ended(ended, self.lease.version.spec.memory_mb, self.lease.process.memory_peak_bytes())
    }

    /// Kills an instance of which the OOM killer has ended a process: the others may wait for that
    /// process for ever. Every request in the instance fails with this.
    fn over_memory(&self) -> Failure {
        self.lease.kill();
        self.ended(&ExitStatus { code: None, signal: None, out_of_memory: true })
    }

    async fn ended_or(&self, exit_wait_max: Duration, otherwise: impl FnOnce() -> Failure) -> Failure {
        if self.lease.process.out_of_memory() {
            self.lease.kill();
        }
        match timeout(exit_wait_max, self.lease.process.ended()).await {
            Ok(ended) => self.ended(&ended),
            // The kernel takes seconds to end an instance with much file memory; the cause is known
            // by now.
            Err(_) if self.lease.process.out_of_memory() => self.over_memory(),
            Err(_) => otherwise(),
        }
    }
}
