//! Signals to the first process of an instance, frozen or not, sent by its handle, a stop or the
//! shutdown.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::cgroup::{Freezer, InstanceCgroup, Quota};

/// A pidfd and the freezer that may hold its process; cheap to clone.
#[derive(Clone)]
pub struct Killer {
    process: Arc<OwnedFd>,
    freezer: Option<Arc<Freezer>>,
    quota: Option<Quota>,
}

impl Killer {
    /// The killer of a process in a cgroup.
    pub fn new(process: OwnedFd, cgroup: &InstanceCgroup) -> Self {
        Self { process: Arc::new(process), freezer: cgroup.freezer().cloned(), quota: cgroup.quota().cloned() }
    }

    /// Sends a signal to its first process.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        sys::process::send_signal(&*self.process, signal)
    }

    /// Sends its first process a signal and thaws it; the signal is delivered before it runs again.
    pub fn signal_and_thaw(&self, signal: i32) -> io::Result<()> {
        self.signal(signal)?;
        self.freezer.as_ref().map_or(Ok(()), |freezer| freezer.thaw())
    }

    /// Kills pid 1 of the instance, upon which the kernel ends all its processes.
    pub fn kill(&self) {
        // The only error of either is that it has ended already.
        self.signal(libc::SIGKILL).ok();
        // Otherwise a fork bomb with a small quota takes minutes to end.
        if let Some(quota) = &self.quota {
            quota.lift().ok();
        }
        // In version 1, killed processes end only when they are thawed.
        if let Some(freezer) = self.freezer.as_ref().filter(|freezer| freezer.holds_kills()) {
            freezer.thaw().ok();
        }
    }
}
