//! What the sandboxes of one data directory share: pools made ahead of starts, descriptors of the
//! host, the running instances.

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
    /// The mount namespace that instances begin with a copy of: an empty directory.
    pub bare_mounts: Arc<OwnedFd>,
    /// Everything that the kernel shows below `/proc`, whatever of it the platform itself is shown.
    pub proc: OwnedFd,
    /// Cgroup directories, ready to be taken.
    pub cgroups: Arc<CgroupPool>,
    /// Events of their listening sockets, where the kernel has them.
    pub watch: Option<Watch>,
    /// Namespaces and mounts, ready to be taken.
    pub prewarmed: Arc<PrewarmPool>,
    /// Samples the memory of those that run.
    pub meter: Arc<Meter>,
    /// What follows starts and ends.
    pub chores: Arc<Chores>,
    /// The platform's own network namespace.
    pub network: Arc<OwnedFd>,
    /// Where the reapers run.
    pub runtime: Handle,
    /// Instances that run or are being cleaned up after.
    pub running: Mutex<HashMap<InstanceId, Killer>>,
    /// The reapers.
    pub reapers: TaskTracker,
    /// Set on shutdown: no more starts may begin.
    pub stopping: AtomicBool,
}
