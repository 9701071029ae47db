//! The end of an instance: what brings it about, and the one task that waits for it, reads what the cgroup says of it, tells
//! everyone who waits, and gives back what the instance had.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use network::Link;
use parking_lot::RwLock;
use sys::process::Ended;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use types::InstanceId;

use crate::cgroup::{Freezer, InstanceCgroup, ReadyCgroups};
use crate::instance::Exit;
use crate::slots::Ids;
use crate::workers::Shared;

/// Taken by the end's owner when it removes the cgroup; the last reading stays.
pub enum CgroupState {
    /// It is there.
    There(Box<InstanceCgroup>),
    /// It was given back; the most memory that was in it, in bytes.
    Gone(u64),
}

impl CgroupState {
    /// The most memory so far, or the last reading, in bytes.
    pub fn memory_peak_bytes(&self) -> u64 {
        match self {
            Self::There(cgroup) => cgroup.memory_peak_bytes(),
            Self::Gone(peak_bytes) => *peak_bytes,
        }
    }
}

/// Ends an instance from outside its handle, such as on shutdown.
#[derive(Clone)]
pub struct Killer {
    process: Arc<OwnedFd>,
    freezer: Option<Arc<Freezer>>,
}

impl Killer {
    /// Of a process and its cgroup.
    pub fn new(process: OwnedFd, cgroup: &InstanceCgroup) -> Self {
        Self { process: Arc::new(process), freezer: cgroup.freezer().cloned() }
    }

    /// Sends a signal to its first process.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        sys::process::send_signal(&*self.process, signal)
    }

    /// Sends its first process a signal that is the first thing a frozen one sees, and lets it go on.
    pub fn ask(&self, signal: i32) -> io::Result<()> {
        self.signal(signal)?;
        self.freezer.as_ref().map_or(Ok(()), |freezer| freezer.thaw())
    }

    /// Kills pid 1 of the instance, with which the kernel ends all its processes.
    pub fn kill(&self) {
        // The only error of either is that it has ended already.
        self.signal(libc::SIGKILL).ok();
        // Version 1 lets killed processes die only when they are thawed.
        if let Some(freezer) = self.freezer.as_ref().filter(|freezer| freezer.holds_kills()) {
            freezer.thaw().ok();
        }
    }
}

/// The task that owns the end of an instance; `told` is where it says how it ended.
pub async fn own_end(
    shared: Arc<Shared>,
    id: InstanceId,
    end: AsyncFd<OwnedFd>,
    cgroup: Arc<RwLock<CgroupState>>,
    held: (Ids, Option<Arc<Link>>),
    told: watch::Sender<Option<Exit>>,
) {
    if let Err(error) = end.readable().await {
        tracing::error!(instance = %id, %error, "waiting for an instance failed; it is killed");
        sys::process::send_signal(end.get_ref(), libc::SIGKILL).ok();
    }
    let cgroups = shared.cgroups.clone();
    let cleaning = tokio::task::spawn_blocking(move || {
        // At once, but after a failed wait above; and nothing that the kernel may take its time for on a tokio worker.
        let exit = exit(sys::process::wait(end.get_ref()), &cgroup.read());
        told.send_replace(Some(exit));
        leave(&cgroup, &cgroups);
        // With the first process of their namespace all others have ended: its ids may be another instance's now,
        // and its address when its handles are gone too.
        drop(held);
    });
    if let Err(error) = cleaning.await {
        tracing::error!(instance = %id, %error, "cleaning up after an instance failed");
    }
    shared.running.lock().remove(&id);
}

fn exit(ended: io::Result<Ended>, cgroup: &CgroupState) -> Exit {
    let killed_for_memory = match cgroup {
        CgroupState::There(cgroup) => cgroup.out_of_memory_kills() > 0,
        CgroupState::Gone(_) => false,
    };
    let (code, signal) = match ended {
        Ok(Ended::Code(code)) => (Some(code), None),
        Ok(Ended::Signal(signal)) => (None, Some(signal)),
        Err(error) => {
            tracing::error!(%error, "an instance could not be reaped");
            (None, None)
        }
    };
    // A program that lost a child to it, coped and ended well did not run out of memory.
    Exit { code, signal, out_of_memory: killed_for_memory && code != Some(0) }
}

/// Gives the cgroup back; its last reading stays.
fn leave(cgroup: &RwLock<CgroupState>, cgroups: &ReadyCgroups) {
    let left = {
        let mut state = cgroup.write();
        let peak_bytes = state.memory_peak_bytes();
        std::mem::replace(&mut *state, CgroupState::Gone(peak_bytes))
    };
    if let CgroupState::There(cgroup) = left {
        cgroups.give_back(*cgroup);
    }
}
