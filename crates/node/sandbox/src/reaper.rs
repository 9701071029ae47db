//! The end of an instance: one task each waits on the pidfd, reaps the process, reads the cgroup
//! for the last time, publishes the exit status, and releases the instance's resources.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use network::Link;
use parking_lot::RwLock;
use sys::process::Ended;
use tokio::io::unix::AsyncFd;
use tokio::sync::{oneshot, watch};
use types::{ExitStatus, InstanceId};

use crate::cgroup::CgroupState;
use crate::host::Host;
use crate::prewarm_pool::HostIds;

/// One instance's reaper.
pub struct Reaper {
    /// The host's list of running instances.
    pub host: Arc<Host>,
    /// Its id.
    pub id: InstanceId,
    /// Its pidfd, readable when it has ended.
    pub pidfd: AsyncFd<OwnedFd>,
    /// Its cgroup, which is returned to the pool.
    pub cgroup: Arc<RwLock<CgroupState>>,
    /// Ids and link, reserved until its end.
    pub held: (HostIds, Option<Arc<Link>>),
    /// Publishes its exit status.
    pub exit: watch::Sender<Option<ExitStatus>>,
}

impl Reaper {
    /// Waits for the end and cleans up.
    pub async fn run(self) {
        let Self { host, id, pidfd, cgroup, held, exit } = self;
        if let Err(error) = pidfd.readable().await {
            tracing::error!(instance = %id, %error, "cannot wait for an instance; killing it");
            sys::process::send_signal(pidfd.get_ref(), libc::SIGKILL).ok();
        }
        let (cgroups, chores) = (host.cgroups.clone(), host.chores.clone());
        let (cleaned, done) = oneshot::channel();
        host.chores.prompt(move || {
            // Returns at once, except after a failed wait above; slow kernel work must not run on a
            // tokio worker.
            let status = exit_status(sys::process::wait(pidfd.get_ref()), &cgroup.read());
            exit.send_replace(Some(status));
            chores.cleanup(move || {
                let left = cgroup.write().take();
                if let Some(cgroup) = left {
                    cgroups.give_back(*cgroup);
                }
                // With the first process of their namespace all others have ended: another instance
                // may take its ids now, and its address once its handles are dropped too.
                drop((held, pidfd));
                cleaned.send(()).ok();
            });
        });
        if done.await.is_err() {
            tracing::error!(instance = %id, "cleaning up after an instance failed");
        }
        host.running.lock().remove(&id);
    }
}

fn exit_status(ended: io::Result<Ended>, cgroup: &CgroupState) -> ExitStatus {
    let (code, signal) = match ended {
        Ok(Ended::Code(code)) => (Some(code), None),
        Ok(Ended::Signal(signal)) => (None, Some(signal)),
        Err(error) => {
            tracing::error!(%error, "cannot reap an instance");
            (None, None)
        }
    };
    // A program that survived the OOM kill of a child and exited normally did not run out of
    // memory.
    ExitStatus { code, signal, out_of_memory: cgroup.has_killed_for_memory() && code != Some(0) }
}
