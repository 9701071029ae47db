//! What a start needs from this machine: root file systems and sandboxes. The real one is `local.rs`; tests put a fake in
//! its place, which stands for the kernel.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use image::RunConfig;
use pool::{BoxFuture, Ended, NetworkBytes};
use sandbox::{LaunchSpec, RootFacts};
use types::Digest;

use crate::failure::Failure;

/// Makes and runs instances.
pub(crate) trait Machine: Send + Sync + 'static {
    /// The root file system of a prepared image.
    fn root<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Root, Failure>>;
    /// Starts a sandbox; resolves when its program runs. Dropping the future stops what was started.
    fn start(&self, spec: LaunchSpec) -> BoxFuture<'_, Result<Arc<dyn Running>, Failure>>;
}

/// A root file system, in place while this lives.
pub(crate) struct Root {
    /// Read-only directories, topmost first.
    pub(crate) lower_dirs: Vec<PathBuf>,
    /// What the image says of running it.
    pub(crate) run: Arc<RunConfig>,
    /// What earlier starts of the image have found in its root.
    pub(crate) facts: Arc<RootFacts>,
    /// What keeps the directories there.
    pub(crate) _held: Box<dyn Any + Send + Sync>,
}

/// A running sandbox.
pub(crate) trait Running: Send + Sync + 'static {
    fn connect(&self, port: u16) -> BoxFuture<'_, io::Result<tokio::net::TcpStream>>;
    /// Resolves when the port accepts connections, or after `timeout`.
    fn wait_listening(&self, port: u16, timeout: Duration) -> BoxFuture<'_, Result<(), NotListening>>;
    /// Resolves when it has ended; may be called many times.
    fn ended(&self) -> BoxFuture<'_, Ended>;
    fn kill(&self);
    /// Asks it to end with a signal, and kills it after the grace.
    fn stop(&self, signal: i32, grace: Duration);
    fn freeze(&self) -> io::Result<()>;
    fn thaw(&self) -> io::Result<()>;
    /// Whether the kernel has killed one of its processes for memory.
    fn out_of_memory(&self) -> bool;
    fn memory_peak_bytes(&self) -> u64;
    fn network_bytes(&self) -> NetworkBytes;
}

/// Why a port does not accept connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotListening {
    /// The sandbox ended before.
    Ended(Ended),
    /// It took too long; where its processes listen instead.
    TimedOut(Vec<SocketAddr>),
}
