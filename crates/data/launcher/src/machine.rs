//! The interface of a start to this machine: root file systems and sandboxes. The real one is
//! `local.rs`; tests use a fake in place of the kernel.

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

/// Creates and runs instances.
pub(crate) trait Machine: Send + Sync + 'static {
    /// The root file system of a prepared image.
    fn root<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Root, Failure>>;
    /// The volume mounts of a version's instances.
    fn mounts<'a>(&'a self, mounts: &'a [types::Mount]) -> BoxFuture<'a, Result<Vec<Mount>, Failure>>;
    /// A file system of this size, in MB, for the `/tmp` of one instance.
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

/// A root file system, available until this is dropped.
pub(crate) struct Root {
    /// Read-only directories, topmost first.
    pub(crate) lower_dirs: Vec<PathBuf>,
    /// The image's run configuration.
    pub(crate) run: Arc<RunConfig>,
    /// Facts that earlier starts of the image have found in its root.
    pub(crate) facts: Arc<RootFacts>,
    /// Keeps the directories available.
    pub(crate) _held: Box<dyn Any + Send + Sync>,
}

/// A `/tmp` on disk.
pub(crate) struct TmpDisk {
    /// Its detached mount.
    pub(crate) mount: OwnedFd,
    /// Its disk space, reserved until the instance has ended.
    pub(crate) held: Box<dyn Any + Send + Sync>,
}

/// Resources of a running instance, released when it has ended, in this order.
pub(crate) struct Held {
    pub(crate) _output: Output,
    pub(crate) _root: Root,
    pub(crate) _tmp_disk: Option<Box<dyn Any + Send + Sync>>,
}

/// A started instance; killed when dropped.
pub(crate) trait LocalProcess: Process {
    /// Resolves when its port accepts connections, or after `timeout`.
    fn wait_listening(&self, timeout: Duration) -> BoxFuture<'_, Result<(), NotListening>>;
    /// Drops `held` when it has ended, for any reason.
    fn hold_until_ended(&self, held: Held);
}
