//! The public face: opening the sandbox, which cleans up after an earlier one, launching, and ending everything.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::cgroup::{Cgroups, Layout};
use crate::config::Config;
use crate::error::Error;
use crate::instance::Sandbox;
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
    pub async fn open(dir: &Path, config: Config) -> Result<(Self, Recovered), Error> {
        let (dir, runtime) = (dir.to_owned(), Handle::current());
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&dir, config, runtime)).await;
        opened.map_err(|_| Error::Stopping)?
    }

    fn open_blocking(dir: &Path, config: Config, runtime: Handle) -> Result<(Self, Recovered), Error> {
        config.check()?;
        let stage = dir.join("stage");
        fs::create_dir_all(&stage).map_err(Error::path("make", &stage))?;
        let layout = Layout::detect()?;
        let name = cgroup_name(&dir.canonicalize().map_err(Error::path("find", dir))?);
        let remove_max = Duration::from_millis(config.cgroup_remove_ms_max);
        let (killed, removed) = Cgroups::clear(&layout, &name, remove_max)?;
        let cgroups = Cgroups::open(layout, name, remove_max)?;
        let home = || sys::namespace::current_network().map_err(Error::path("open", "/proc/thread-self/ns/net"));
        let shared = Arc::new(Shared {
            slots: Slots::new(config.clone(), home()?),
            config,
            stage,
            cgroups,
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
        self.inner.shared.cgroups.name()
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
        match tokio::task::spawn_blocking(move || last.cgroups.remove()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cgroups were left behind"),
            Err(error) => tracing::error!(%error, "removing cgroups failed"),
        }
    }
}

/// The name of a data directory's cgroups, by its path: a platform that is killed is found again by the next one there,
/// and a copied data directory does not clean up after its original.
fn cgroup_name(dir: &Path) -> String {
    // FNV-1a: the same on every machine and in every version, which the standard library's hash does not promise.
    let hash =
        dir.as_os_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    format!("sampan-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_name_is_of_the_directory() {
        // The published test value of FNV-1a for "a".
        assert_eq!(cgroup_name(Path::new("a")), "sampan-af63dc4c8601ec8c");
        assert_ne!(cgroup_name(Path::new("/var/lib/sampan")), cgroup_name(Path::new("/var/lib/sampan2")));
    }
}
