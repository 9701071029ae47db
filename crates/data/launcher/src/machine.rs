//! What a start needs from this machine: root file systems and sandboxes. The real one is
//! `local.rs`; tests put a fake in its place, which stands for the kernel.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use image::RunConfig;
use pool::{BoxFuture, Process};
use sandbox::{LaunchSpec, Mount, NotListening, RootFacts};
use types::Digest;

use crate::failure::Failure;
use crate::output::Output;
use crate::stop::StopPolicy;

/// Makes and runs instances.
pub(crate) trait Machine: Send + Sync + 'static {
    /// The root file system of a prepared image.
    fn root<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Root, Failure>>;
    /// The volumes of a version, as its instances get them.
    fn mounts<'a>(&'a self, mounts: &'a [types::Mount]) -> BoxFuture<'a, Result<Vec<Mount>, Failure>>;
    /// A file system of this size, in MB, to be the `/tmp` of one instance.
    fn tmp_disk(&self, size_mb: u32) -> BoxFuture<'_, Result<TmpDisk, Failure>>;
    /// Starts an instance that serves `port`; resolves when its program runs. Dropping the future
    /// stops what was started.
    fn start(
        &self,
        spec: LaunchSpec,
        port: u16,
        stop: StopPolicy,
    ) -> BoxFuture<'_, Result<Arc<dyn LocalProcess>, Failure>>;
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

/// A `/tmp` on disk.
pub(crate) struct TmpDisk {
    /// Its detached mount.
    pub(crate) mount: OwnedFd,
    /// Its share of the disk, the instance's as long as it runs.
    pub(crate) held: Box<dyn Any + Send + Sync>,
}

/// What a running instance needs, released when it has ended, in this order.
pub(crate) struct Held {
    pub(crate) _output: Output,
    pub(crate) _root: Root,
    pub(crate) _tmp_disk: Option<Box<dyn Any + Send + Sync>>,
}

/// A started instance; killed when dropped.
pub(crate) trait LocalProcess: Process {
    /// Resolves when its port accepts connections, or after `timeout`.
    fn wait_listening(&self, timeout: Duration) -> BoxFuture<'_, Result<(), NotListening>>;
    /// Drops `held` when it has ended, whoever ended it.
    fn hold_until_ended(&self, held: Held);
}
