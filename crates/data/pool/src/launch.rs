//! What the pool needs to have instances made: the [`Launch`] and [`Process`] traits and what
//! passes through them.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use types::{CatalogVersion, InstanceId, RequestId, RunStatus};
/// How an instance ended, and its traffic with the world outside.
pub use types::{ExitStatus, NetworkBytes};

/// A future that can be sent.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Starts instances; the local launcher implements it, and a fleet's can stand beside it.
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

    /// Starts an instance of a job image, with the event that it is for; resolves when its program
    /// runs.
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

    /// The same for an instance that is to be ready before any call; `request` names this
    /// start in what is told of it.
    fn launch_ahead(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.launch(id, version, request)
    }

    /// The same for a start of which there is no record: one that calls are expected to need.
    fn launch_unrecorded(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        self.launch(id, version, request)
    }

    /// The same for the check of a version, which no call waits for: it may look longer at what has
    /// started.
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
    /// The running thing.
    pub process: Arc<dyn Process>,
    /// Where the start's time went.
    pub cold_start: ColdStart,
}

/// Where the time of a cold start went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColdStart {
    /// Pulling (0 when the image was ready).
    pub pull: Duration,
    /// Making the sandbox.
    pub runtime: Duration,
    /// From exec until the server accepted.
    pub function: Duration,
}

impl ColdStart {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.pull + self.runtime + self.function
    }
}

/// A running instance as the pool and its users see it.
pub trait Process: Send + Sync + 'static {
    /// Opens a connection to the instance's server.
    fn connect(&self) -> BoxFuture<'_, io::Result<tokio::net::TcpStream>>;
    /// Resolves when the instance has ended, by itself or killed; may be called many times.
    fn ended(&self) -> BoxFuture<'_, ExitStatus>;
    /// Ends it at once; returns immediately.
    fn kill(&self);
    /// Asks it to end, frozen or not, and kills it when it has not within its own grace, or within
    /// `longest` where that is less; returns immediately. It can be killed meanwhile. Not everyone
    /// who makes instances can ask.
    fn stop(&self, longest: Duration) {
        let _ = longest;
        self.kill();
    }
    /// How long it may take to end when it is asked.
    fn stop_grace(&self) -> Duration {
        Duration::ZERO
    }
    /// Stops all that it does where it is, until [`Process::thaw`]; returns at once. It can be
    /// killed meanwhile, and connections to it wait. Not everyone who makes instances can.
    fn freeze(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Lets it go on; returns when it does, or a fraction of a millisecond before. Called for a
    /// frozen instance only.
    fn thaw(&self) -> io::Result<()> {
        Ok(())
    }
    /// Whether a part of it was ended for going over its memory limit; what is left of it may still
    /// run.
    fn out_of_memory(&self) -> bool {
        false
    }
    /// The most memory it used at once since its start, in bytes.
    fn memory_peak_bytes(&self) -> u64;
    /// The address that its connections to this platform come from, if it can make any.
    fn address(&self) -> Option<IpAddr> {
        None
    }
    /// What went out of it to the world outside and came from there, requests and their answers not
    /// among it; also when it has ended. All 0 where it is not counted.
    fn network_bytes(&self) -> NetworkBytes {
        NetworkBytes::default()
    }
}

/// Why an instance could not be started.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}{detail}")]
pub struct LaunchError {
    /// The status that every waiting invocation ends with.
    pub status: RunStatus,
    /// What failed and what to do, for the caller.
    pub message: String,
    /// What is for the function's owner alone and reads on after the message: what the image
    /// printed, its paths and programs.
    pub detail: String,
    /// Where the time went until then.
    pub cold_start: ColdStart,
    /// Highest memory until then, in bytes.
    pub peak_bytes: u64,
}
