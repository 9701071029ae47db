//! The public face: opening the sandbox, which cleans up after an earlier one, launching, and ending everything.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use network::Network;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::cgroup::{Ceilings, Cgroups, Layout, ReadyCgroups};
use crate::config::Config;
use crate::error::Error;
use crate::instance::Sandbox;
use crate::listening::Watch;
use crate::memory::Meter;
use crate::slots::Slots;
use crate::spec::LaunchSpec;
use crate::workers::{Shared, Workers};

/// What was left of an earlier platform on this data directory.
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
    shared: Arc<Shared>,
    workers: Workers,
}

impl Sandboxes {
    /// Ends and removes what an earlier platform left, then makes ready for starts.
    /// Where this machine has no way out for instances, they start without one; the platform's log and [`crate::doctor`] say
    /// what is missing.
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
        let stage = dir.join("stage");
        fs::create_dir_all(&stage).map_err(Error::path("make", &stage))?;
        let layout = Layout::detect()?;
        let number = number(&dir.canonicalize().map_err(Error::path("find", dir))?);
        let name = format!("sampan-{number:016x}");
        let remove_max = Duration::from_millis(config.cgroup_remove_ms_max);
        let (killed, removed) = Cgroups::clear(&layout, &name, remove_max)?;
        let ceilings = Ceilings::of_machine(config.machine_tasks_percent_max, config.machine_socket_memory_percent_max);
        let cgroups = Cgroups::open(layout, name, ceilings, remove_max)?;
        let home = || sys::namespace::current_network().map_err(Error::path("open", "/proc/thread-self/ns/net"));
        let watch =
            cgroups.v2_directory().filter(|_| config.listen_events).and_then(|directory| watch(&directory, &runtime));
        let shared = Arc::new(Shared {
            slots: Slots::new(config.clone(), network_of(number, network, &runtime)?, home()?),
            cgroups: Arc::new(ReadyCgroups::new(cgroups, config.slots_ready, config.slots_ready_max)),
            watch,
            meter: Arc::new(Meter::new(
                Duration::from_millis(config.memory_look_interval_ms.max(1)),
                Duration::from_millis(config.memory_sample_interval_ms.max(1)),
            )),
            config,
            bare: Arc::new(bare(&stage)?),
            proc: sys::mount::new_proc().map_err(Error::path("mount", "/proc"))?,
            home: Arc::new(home()?),
            runtime,
            running: Mutex::default(),
            ends: TaskTracker::new(),
            stopping: AtomicBool::new(false),
        });
        let workers = Workers::start(&shared)?;
        Ok((Self { inner: Arc::new(Inner { shared, workers }) }, Recovered { killed, removed }))
    }

    /// Starts an instance; resolves when its program executes. Dropping the future ends what was started.
    pub async fn launch(&self, spec: LaunchSpec) -> Result<Sandbox, Error> {
        self.inner.workers.submit(spec)?.await.unwrap_or(Err(Error::Stopping))
    }

    /// Instances that run or are being cleaned up after.
    pub fn count(&self) -> usize {
        self.inner.shared.running.lock().len()
    }

    /// Name of the directory below every cgroup hierarchy in which the instances' own are.
    pub fn cgroup_name(&self) -> &str {
        self.inner.shared.cgroups.cgroups().name()
    }

    /// Ends every instance, waits until all are gone, and removes what is ours on the machine. Starts that wait are
    /// answered with [`Error::Stopping`].
    pub async fn shutdown(&self) {
        let shared = &self.inner.shared;
        shared.stopping.store(true, Ordering::Relaxed);
        let inner = self.inner.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || inner.workers.stop()).await {
            tracing::error!(%error, "the launcher threads did not stop");
        }
        // Starts that were under way are registered by now: the threads are gone.
        for killer in shared.running.lock().values() {
            killer.kill();
        }
        shared.ends.close();
        shared.ends.wait().await;
        let last = shared.clone();
        match tokio::task::spawn_blocking(move || last.cgroups.cgroups().remove()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cgroups were left behind"),
            Err(error) => tracing::error!(%error, "removing cgroups failed"),
        }
        if let Some(network) = shared.slots.network()
            && let Err(error) = network.close().await
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "links or packet rules were left behind; the next start removes them");
        }
    }
}

/// The mounts that instances begin with.
fn bare(stage: &Path) -> Result<OwnedFd, Error> {
    let point =
        CString::new(stage.as_os_str().as_bytes()).map_err(|error| Error::path("mount on", stage)(error.into()))?;
    sys::namespace::new_bare_mounts(&point).map_err(|source| Error::Namespace { kind: "mount", source })
}

/// Has the kernel tell of listening sockets below a directory; without that, servers are looked for.
fn watch(directory: &Path, runtime: &Handle) -> Option<Watch> {
    match Watch::start(directory, runtime) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!(%error, "the kernel does not tell of listening servers; they are looked for instead");
            None
        }
    }
}

/// The instances' way out. A machine that cannot have one runs instances all the same; settings that cannot be are refused.
fn network_of(number: u64, config: network::Config, runtime: &Handle) -> Result<Option<Network>, Error> {
    match Network::open(number, config, runtime) {
        Ok(network) => Ok(network),
        Err(source @ network::Error::BadConfig { .. }) => Err(Error::Network { source }),
        Err(error) => {
            let (remedy, error) = (error.remedy(), &error as &dyn std::error::Error);
            tracing::warn!(error, remedy, "functions start without their public network");
            Ok(None)
        }
    }
}

/// The number of a data directory, which names its cgroups and its network, by its path: a platform that is killed is found
/// again by the next one there, and a copied data directory does not clean up after its original.
fn number(dir: &Path) -> u64 {
    // FNV-1a: the same on every machine and in every version, which the standard library's hash does not promise.
    dir.as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_of_the_directory() {
        // The published test value of FNV-1a for "a".
        assert_eq!(number(Path::new("a")), 0xaf63_dc4c_8601_ec8c);
        assert_ne!(number(Path::new("/var/lib/sampan")), number(Path::new("/var/lib/sampan2")));
    }
}
