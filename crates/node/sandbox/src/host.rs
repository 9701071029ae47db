//! State shared by the sandboxes of one data directory: prewarm pools, descriptors of the host,
//! running instances.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use types::InstanceId;

use crate::cgroup::CgroupPool;
use crate::chores::Chores;
use crate::config::Config;
use crate::killer::Killer;
use crate::listening::Watch;
use crate::memory::Meter;
use crate::prewarm_pool::PrewarmPool;

/// Used by the handle, the launcher threads, each sandbox and its reaper.
pub struct Host {
    /// Limits.
    pub config: Config,
    /// The mount namespace that every instance starts with a copy of: an empty directory.
    pub bare_mounts: Arc<OwnedFd>,
    /// A complete `/proc`, even where the platform's own `/proc` is partly masked.
    pub proc: OwnedFd,
    /// Prewarmed cgroup directories.
    pub cgroups: Arc<CgroupPool>,
    /// Events of their listening sockets, where the kernel has them.
    pub watch: Option<Watch>,
    /// Prewarmed namespaces and mounts.
    pub prewarmed: Arc<PrewarmPool>,
    /// Samples the memory of running instances.
    pub meter: Arc<Meter>,
    /// Runs the work after starts and ends.
    pub chores: Arc<Chores>,
    /// The platform's own network namespace.
    pub network: Arc<OwnedFd>,
    /// The tokio runtime of the reapers.
    pub runtime: Handle,
    /// Instances that run or are being cleaned up.
    pub running: Mutex<HashMap<InstanceId, Killer>>,
    /// The reapers.
    pub reapers: TaskTracker,
    /// Set when no further start may begin.
    pub stopping: AtomicBool,
}
