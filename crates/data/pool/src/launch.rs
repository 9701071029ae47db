//! The pool's interface to what makes instances: the [`Launch`] and [`Process`] traits and their
//! types.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use types::{CatalogVersion, InstanceId, RequestId, RunStatus};
/// How an instance ended, and its network traffic.
pub use types::{ExitStatus, NetworkBytes};

/// A boxed future that is `Send`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Starts instances; implemented by the local launcher, and open to a launcher over several
/// machines.
pub trait Launch: Send + Sync + 'static {
    /// Starts one instance of `version` and resolves when its server accepts connections. Dropping
    /// the future stops what was started. Output until readiness belongs to `first_request`.
    ///
    /// The implementation bounds the start by the version's `init_timeout_s` (and a pull by its own
    /// limit); the pool sets no second limit. When it fails, the output of the failed start has
    /// been recorded before the future resolves.
    fn launch(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        first_request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>>;

    /// Starts an instance of a job image with its event; resolves when its program runs.
    fn launch_job(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
        event: Bytes,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        let _ = event;
        self.launch(id, version, request)
    }

    /// Starts an instance that is to be ready before any call; `request` identifies this start in
    /// its records.
    fn launch_ahead(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.launch(id, version, request)
    }

    /// Starts an instance that the forecast expects calls to need, without a record.
    fn launch_unrecorded(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.launch(id, version, request)
    }

    /// Starts an instance for the check of a version, which no call waits for: it may observe the
    /// process for longer.
    fn launch_check(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.launch_unrecorded(id, version, request)
    }
}

/// A started instance.
pub struct Launched {
    /// The running process.
    pub process: Arc<dyn Process>,
    /// Durations of the phases of the start.
    pub cold_start: ColdStart,
}

/// Durations of the phases of a cold start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColdStart {
    /// Pulling the image (0 when it was prepared).
    pub pull: Duration,
    /// Creating the sandbox.
    pub runtime: Duration,
    /// From exec until the server accepted.
    pub function: Duration,
}

impl ColdStart {
    /// The sum.
    pub fn total(&self) -> Duration {
        self.pull + self.runtime + self.function
    }
}

/// A running instance as the pool and its users see it.
pub trait Process: Send + Sync + 'static {
    /// Opens a connection to the instance's server.
    fn connect(&self) -> BoxFuture<'_, io::Result<tokio::net::TcpStream>>;
    /// Resolves when the instance has ended or was killed; may be called many times.
    fn ended(&self) -> BoxFuture<'_, ExitStatus>;
    /// Kills it at once; returns immediately.
    fn kill(&self);
    /// Sends the stop signal, frozen or not, and kills it after its own grace, or after `longest`
    /// where that is less; returns immediately. It can be killed meanwhile. Optional for
    /// implementations.
    fn stop(&self, longest: Duration) {
        let _ = longest;
        self.kill();
    }
    /// The longest time that a stop may take.
    fn stop_grace(&self) -> Duration {
        Duration::ZERO
    }
    /// Suspends it until [`Process::thaw`]; returns at once. It can be killed meanwhile, and
    /// connections to it wait. Optional for implementations.
    fn freeze(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Resumes it; returns when it runs, or a fraction of a millisecond before. Called for a frozen
    /// instance only.
    fn thaw(&self) -> io::Result<()> {
        Ok(())
    }
    /// Whether one of its processes was killed for exceeding the memory limit; the others may still
    /// run.
    fn out_of_memory(&self) -> bool {
        false
    }
    /// Peak memory since its start, in bytes.
    fn memory_peak_bytes(&self) -> u64;
    /// The source address of its connections to this platform, if it can make any.
    fn address(&self) -> Option<IpAddr> {
        None
    }
    /// Its egress traffic in both directions, without requests and their responses; also valid
    /// after it has ended. All 0 where it is not counted.
    fn network_bytes(&self) -> NetworkBytes {
        NetworkBytes::default()
    }
}

/// Why an instance could not be started.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}{detail}")]
pub struct LaunchError {
    /// The status of every waiting invocation.
    pub status: RunStatus,
    /// The failure and its remedy, for the caller.
    pub message: String,
    /// Details for the function's owner alone, appended to the message: output of the image, its
    /// paths and programs.
    pub detail: String,
    /// Durations of the phases until the failure.
    pub cold_start: ColdStart,
    /// Peak memory until the failure, in bytes.
    pub peak_bytes: u64,
}
