//! The public handle: opening the sandbox, which cleans up after an earlier run, launching, and
//! shutdown.

use std::ffi::CString;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use network::{GatewayConnection, IsOwnName, Network};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;
use tokio_util::task::TaskTracker;

use crate::cgroup::{Ceilings, CgroupPool, Cgroups, Layout};
use crate::chores::Chores;
use crate::config::Config;
use crate::error::Error;
use crate::host::Host;
use crate::installation;
use crate::instance::Sandbox;
use crate::listening::Watch;
use crate::memory::Meter;
use crate::phases;
use crate::prewarm_metrics;
use crate::prewarm_pool::PrewarmPool;
use crate::spec::LaunchSpec;
use crate::workers::Workers;

/// Leftovers of an earlier run on this data directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Processes that were still running.
    pub killed: usize,
    /// Cgroup directories of instances.
    pub removed: usize,
}

/// All sandboxes of one data directory; cheap to clone.
#[derive(Clone)]
pub struct Sandboxes {
    inner: Arc<Inner>,
}

struct Inner {
    host: Arc<Host>,
    workers: Workers,
}

impl Sandboxes {
    /// Ends and removes leftovers of an earlier run, then prepares for starts. On a machine without
    /// support for egress, instances start without it; the platform's log and [`crate::doctor`]
    /// name what is missing.
    pub async fn open(dir: &Path, config: Config, network: network::Config) -> Result<(Self, Recovered), Error> {
        let (dir, runtime) = (dir.to_owned(), Handle::current());
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&dir, config, network, runtime)).await;
        opened.map_err(|_| Error::Stopping)?
    }

    fn open_blocking(
        dir: &Path,
        config: Config,
        network: network::Config,
        runtime: Handle,
    ) -> Result<(Self, Recovered), Error> {
        config.check()?;
        phases::describe();
        prewarm_metrics::describe();
        let stage = dir.join("stage");
        let layout = Layout::detect()?;
        fs::create_dir_all(dir).map_err(Error::path("make", dir))?;
        let older = installation::id_by_path(dir);
        let id = installation::id(dir)?;
        fs::create_dir_all(&stage).map_err(Error::path("make", &stage))?;
        let remove_max = Duration::from_millis(config.cgroup_remove_ms_max);
        let mut recovered = Recovered::default();
        for id in older.into_iter().chain([id]) {
            let (killed, removed) = Cgroups::clear(&layout, &cgroup_name(id), remove_max)?;
            recovered.killed += killed;
            recovered.removed += removed;
        }
        if let Some(older) = older {
            // A disabled network only removes leftovers.
            network_of(older, network::Config { enabled: false, ..network.clone() }, &runtime)?;
        }
        let ceilings = Ceilings::of_machine(config.machine_tasks_percent_max, config.machine_socket_memory_percent_max);
        let cgroups = Arc::new(CgroupPool::new(
            Cgroups::open(layout, cgroup_name(id), ceilings, remove_max)?,
            config.levels(config.slots_ready, config.slots_ready_max),
        ));
        let network = network_of(id, network, &runtime);
        let network = network.inspect_err(|_| cgroups.cgroups().remove_after_failure())?;
        let opened = Self::start_workers(&stage, config, cgroups.clone(), network.clone(), runtime.clone());
        let inner = opened.inspect_err(|_| {
            cgroups.cgroups().remove_after_failure();
            if let Some(network) = network {
                runtime.block_on(close(&network));
            }
        })?;
        Ok((Self { inner: Arc::new(inner) }, recovered))
    }

    fn start_workers(
        stage: &Path,
        config: Config,
        cgroups: Arc<CgroupPool>,
        network: Option<Network>,
        runtime: Handle,
    ) -> Result<Inner, Error> {
        let host_network =
            || sys::namespace::current_network().map_err(Error::path("open", "/proc/thread-self/ns/net"));
        let watch = cgroups
            .cgroups()
            .v2_directory()
            .filter(|_| config.listen_events)
            .and_then(|directory| watch(&directory, &runtime));
        let bare = bare_mounts(stage)?;
        let elsewhere = bare.try_clone().and_then(sys::MountThread::start);
        let elsewhere = elsewhere.map_err(Error::path("start the thread", "mounts"))?;
        let settings = sys::NetworkSettings::new().map_err(Error::path("mount", "/proc"))?;
        let host = Arc::new(Host {
            prewarmed: PrewarmPool::new(config.clone(), network, host_network()?, elsewhere, settings),
            cgroups,
            watch,
            meter: Arc::new(Meter::new(
                Duration::from_millis(config.memory_look_interval_ms.max(1)),
                Duration::from_millis(config.memory_sample_interval_ms.max(1)),
            )),
            chores: Arc::new(Chores::start()?),
            config,
            bare_mounts: Arc::new(bare),
            proc: sys::mount::new_proc().map_err(Error::path("mount", "/proc"))?,
            network: Arc::new(host_network()?),
            runtime,
            running: Mutex::default(),
            reapers: TaskTracker::new(),
            stopping: AtomicBool::new(false),
        });
        let workers = Workers::start(&host)?;
        Ok(Inner { host, workers })
    }

    /// Starts an instance; resolves when its program executes. Dropping the future ends the
    /// instance.
    pub async fn launch(&self, spec: LaunchSpec) -> Result<Sandbox, Error> {
        self.inner.workers.submit(spec)?.await.unwrap_or(Err(Error::Stopping))
    }

    /// Sets the host names that instances resolve to the gateway.
    pub fn set_gateway_names(&self, names: IsOwnName) {
        if let Some(network) = self.inner.host.prewarmed.network() {
            network.set_gateway_names(names);
        }
    }

    /// The reason why instances have no IPv6; `None` where they have it.
    pub fn ipv6_off(&self) -> Option<&'static str> {
        match self.inner.host.prewarmed.network() {
            Some(network) => network.ipv6_off(),
            None => Some("instances have no public network"),
        }
    }

    /// Receives connections of instances to these ports of the gateway's address; `None` where
    /// instances cannot or may not reach it.
    pub fn gateway_connections(&self, ports: &[u16]) -> Option<Receiver<GatewayConnection>> {
        self.inner.host.prewarmed.network()?.gateway_connections(ports)
    }

    /// The address of the instance that reaches the server on `port` of the loopback as this
    /// client; `None` for other clients.
    pub fn instance_behind(&self, client: SocketAddr, port: u16) -> Option<IpAddr> {
        self.inner.host.prewarmed.network()?.link_behind(client, port).map(IpAddr::V4)
    }

    /// Number of instances that run or are being cleaned up.
    pub fn count(&self) -> usize {
        self.inner.host.running.lock().len()
    }

    /// Name of the directory below every cgroup hierarchy that holds the instances' directories.
    pub fn cgroup_name(&self) -> &str {
        self.inner.host.cgroups.cgroups().name()
    }

    /// Ends every instance, waits until all are gone, and removes the sandbox's state from the
    /// machine. Queued starts fail with [`Error::Stopping`].
    pub async fn shutdown(&self) {
        let host = &self.inner.host;
        host.stopping.store(true, Ordering::Relaxed);
        let inner = self.inner.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || inner.workers.stop()).await {
            tracing::error!(%error, "the launcher threads did not stop");
        }
        // The threads have ended, so that starts in progress are registered.
        for killer in host.running.lock().values() {
            killer.kill();
        }
        host.reapers.close();
        host.reapers.wait().await;
        let last = host.clone();
        match tokio::task::spawn_blocking(move || last.cgroups.cgroups().remove()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cgroups were left behind"),
            Err(error) => tracing::error!(%error, "removing cgroups failed"),
        }
        if let Some(network) = host.prewarmed.network() {
            close(network).await;
        }
    }

    /// Kills every instance and returns at once; the next start removes the leftovers.
    pub fn kill_all(&self) {
        let host = &self.inner.host;
        host.stopping.store(true, Ordering::Relaxed);
        host.running.lock().values().for_each(|killer| killer.kill());
    }
}

/// Removes the network from the machine.
async fn close(network: &Network) {
    if let Err(error) = network.close().await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "links or packet rules were left behind; the next start removes them");
    }
}

/// Name of the directory of an installation in every hierarchy.
fn cgroup_name(id: u64) -> String {
    format!("sampan-{id:016x}")
}

/// The initial mounts of instances.
fn bare_mounts(stage: &Path) -> Result<OwnedFd, Error> {
    let point =
        CString::new(stage.as_os_str().as_bytes()).map_err(|error| Error::path("mount on", stage)(error.into()))?;
    sys::namespace::new_bare_mounts(&point).map_err(|source| Error::Namespace { kind: "mount", source })
}

/// Subscribes to listening sockets below a directory; without these events, servers are found by
/// polling.
fn watch(directory: &Path, runtime: &Handle) -> Option<Watch> {
    match Watch::start(directory, runtime) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!(%error, "cannot attach to sock_ops; polling for listening servers");
            None
        }
    }
}

/// The instances' egress. On a machine without support for it, instances run without; invalid
/// settings are rejected.
fn network_of(id: u64, config: network::Config, runtime: &Handle) -> Result<Option<Network>, Error> {
    match Network::open(id, config, runtime) {
        Ok(network) => Ok(network),
        Err(source @ network::Error::BadConfig { .. }) => Err(Error::Network { source }),
        Err(error) => {
            let (remedy, error) = (error.remedy(), &error as &dyn std::error::Error);
            tracing::warn!(error, remedy, "functions start without their public network");
            Ok(None)
        }
    }
}
