//! The threads that start instances: dedicated and long-lived, because a start changes namespaces
//! and suspends its thread, neither of which a tokio worker may do.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::Mutex;
use sys::init::{self, Spawned, Step};
use sys::instance_mounts::InstanceMounts;
use sys::{ReservedFds, Stack};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::cgroup::{CgroupFds, CgroupPool, Limits};
use crate::connector::Connector;
use crate::error::Error;
use crate::fair_queue::{FairQueue, Refused};
use crate::host::Host;
use crate::init_spec::{Prepared, init_spec};
use crate::instance::{Sandbox, Started};
use crate::memory::Meter;
use crate::phases::Phase;
use crate::prewarm_pool::{Namespaces, PrewarmPool, Prewarmed};
use crate::runtime::Runtime;
use crate::spec::LaunchSpec;

struct Job {
    spec: LaunchSpec,
    since: Instant,
    reply: oneshot::Sender<Result<Sandbox, Error>>,
}

/// Resources of a launcher thread for its children, used for one after the other.
struct ChildResources {
    stack: Stack,
    reserved_fds: ReservedFds,
}

/// The launcher threads and their queue.
pub struct Workers {
    /// Fair among the owners of instances.
    queue: Arc<FairQueue<Job>>,
    queue_len_max: usize,
    prewarmed: Arc<PrewarmPool>,
    cgroups: Arc<CgroupPool>,
    meter: Arc<Meter>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    /// Starts the launcher threads, those that fill the prewarm pools, and the one that samples
    /// memory.
    pub fn start(host: &Arc<Host>) -> Result<Self, Error> {
        let queue = Arc::new(FairQueue::new(host.config.launch_queue_len_max));
        // Created first: when a thread cannot be started, dropping this ends the others.
        let workers = Self {
            queue: queue.clone(),
            queue_len_max: host.config.launch_queue_len_max,
            prewarmed: host.prewarmed.clone(),
            cgroups: host.cgroups.clone(),
            meter: host.meter.clone(),
            threads: Mutex::default(),
        };
        for _ in 0..host.config.launcher_threads.max(1) {
            let (host, queue) = (host.clone(), queue.clone());
            let own = ChildResources {
                stack: Stack::new().map_err(Error::path("map the stack of", "a launcher thread"))?,
                reserved_fds: ReservedFds::reserve()
                    .map_err(Error::path("reserve descriptors of", "a launcher thread"))?,
            };
            workers.thread("launcher", move || work(&host, &queue, own))?;
        }
        let prewarmed = host.prewarmed.clone();
        workers.thread("namespaces", move || prewarmed.refill())?;
        let cgroups = host.cgroups.clone();
        workers.thread("cgroups", move || cgroups.run())?;
        let meter = host.meter.clone();
        workers.thread("memory", move || meter.run())?;
        Ok(workers)
    }

    fn thread(&self, name: &'static str, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        // Only these threads can restore their state after a panic: half-made instances,
        // namespaces, groups.
        let run = move || supervisor::essential_thread(name, run);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.lock().push(thread.map_err(Error::path("start the thread", name))?);
        Ok(())
    }

    /// Hands a start to the next free thread. Dropping the receiver ends the started instance.
    pub fn submit(&self, spec: LaunchSpec) -> Result<oneshot::Receiver<Result<Sandbox, Error>>, Error> {
        let (reply, receiver) = oneshot::channel();
        match self.queue.add(spec.owner.clone(), Job { spec, since: Instant::now(), reply }) {
            Ok(()) => Ok(receiver),
            Err(Refused::Full) => Err(Error::QueueFull { launch_queue_len_max: self.queue_len_max }),
            Err(Refused::Closed) => Err(Error::Stopping),
        }
    }

    /// Rejects further starts and waits for the threads; blocks until the starts in progress end.
    pub fn stop(&self) {
        self.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a launcher thread panicked");
            }
        }
    }

    fn close(&self) {
        self.queue.close();
        self.prewarmed.stop();
        self.cgroups.stop();
        self.meter.stop();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Does not join the threads: this may be a tokio worker.
        self.close();
    }
}

fn work(host: &Arc<Host>, queue: &FairQueue<Job>, mut own: ChildResources) {
    while let Some(Job { spec, since, reply }) = queue.take() {
        Phase::Queue.record(since);
        if reply.is_closed() || host.stopping.load(Ordering::Relaxed) {
            continue;
        }
        // A panic ends this start alone: with the thread, the kernel would end every instance that
        // it ever started.
        match std::panic::catch_unwind(AssertUnwindSafe(|| start(host, spec, &mut own))) {
            // The receiver may be gone: dropping the sandbox then ends it.
            Ok(started) => drop(reply.send(started)),
            Err(_) => tracing::error!("a start panicked; failing it as if the platform stopped"),
        }
    }
}

fn start(host: &Arc<Host>, mut spec: LaunchSpec, own: &mut ChildResources) -> Result<Sandbox, Error> {
    let (id, made_by) = (spec.id.clone(), spec.runtime.as_ref().map(Runtime::kind));
    let begun = Instant::now();
    let Prewarmed { namespaces, mounts } = host.prewarmed.take(spec.public_network, &mut own.stack)?;
    if let Some(bytes) = spec.shm_bytes {
        mounts.resize_shared_memory(bytes).map_err(|source| Error::Mounts { source })?;
    }
    // Before its program runs.
    if let (Some(egress), Some(link)) = (spec.egress.take(), &namespaces.link) {
        link.restrict(egress).map_err(|source| Error::Network { source })?;
    }
    if let Some((link, access)) = namespaces.link.as_ref().zip(spec.host_access.take()) {
        link.let_reach(access);
    }
    let limits = Limits {
        memory_bytes: spec.memory_bytes,
        cpu_quota_us: spec.cpu_quota_us,
        cpu_start_quota_us: spec.cpu_start_quota_us,
        pids_max: spec.pids_max,
    };
    let connector = Connector::new(namespaces.network.clone(), host.network.clone());
    // Before its program runs, so that no event is missed.
    let heard = host.watch.as_ref().zip(namespaces.cookie).map(|(watch, cookie)| watch.register(cookie));
    let mut cgroup = host.cgroups.take(limits)?;
    Phase::Pool.record(begun);
    let begun = Instant::now();
    match cgroup.fds().and_then(|fds| run(host, spec, (&namespaces, mounts), fds, own)) {
        Ok((spawned, pidfd)) => {
            Phase::Launch.record(begun);
            let started = Started { id, spawned, pidfd, cgroup, namespaces, connector, heard, made_by };
            Ok(Sandbox::new(host, started))
        }
        Err(error) => {
            host.cgroups.give_back(cgroup);
            Err(error)
        }
    }
}

fn run(
    host: &Host,
    spec: LaunchSpec,
    (namespaces, mounts): (&Namespaces, InstanceMounts),
    fds: CgroupFds,
    own: &mut ChildResources,
) -> Result<(Spawned, AsyncFd<OwnedFd>), Error> {
    let (program, working_dir) = (spec.argv.first().cloned().unwrap_or_default(), spec.working_dir.clone());
    let prepared = Prepared {
        bare_mounts: host.bare_mounts.clone(),
        proc: host.proc.as_fd(),
        namespaces,
        mounts,
        cgroup: fds,
        resolv_conf: host.prewarmed.resolv_conf(namespaces),
        mapped: &host.prewarmed.mapped,
        machine: host.prewarmed.machine(namespaces),
    };
    let init_spec = init_spec(spec, prepared, &host.config, &mut own.stack)?;
    let spawned = init::start(&init_spec, &mut own.stack, &mut own.reserved_fds)
        .map_err(|failure| explain(failure, program, working_dir))?;
    let _on_runtime = host.runtime.enter();
    match spawned.pidfd.try_clone().and_then(sys::event::readable) {
        Ok(pidfd) => Ok((spawned, pidfd)),
        Err(source) => {
            sys::process::send_signal(&spawned.pidfd, libc::SIGKILL).ok();
            sys::process::wait(&spawned.pidfd).ok();
            Err(Error::path("watch", "a new process")(source))
        }
    }
    // Dropping the spec closes the platform's pipe ends and layers.
}

/// Translates a failed step into an error about the image.
fn explain(failure: init::Failure, program: String, working_dir: String) -> Error {
    let init::Failure { step, source } = failure;
    let reason = match (step, source.raw_os_error()) {
        // The image's files exist but cannot be read.
        (Step::WorkingDir | Step::Execute, Some(libc::EIO | libc::EUCLEAN)) => {
            return Error::path("read", program)(source);
        }
        (Step::WorkingDir, _) => return Error::WorkingDir { path: working_dir, source },
        (Step::Execute, Some(libc::ENOENT | libc::ENOTDIR)) => {
            "there is no such file in the image, or the interpreter or dynamic loader that it names is missing"
        }
        (Step::Execute, Some(libc::EACCES)) => "the file is not executable for the image's user",
        (Step::Execute, Some(libc::ENOEXEC)) => {
            "the file is neither a program for linux/amd64 nor a script that begins with #!"
        }
        (Step::Execute, Some(libc::E2BIG)) => "arguments and environment are too long together",
        (Step::Execute, _) => return Error::Execute { program, reason: source.to_string() },
        _ => return Error::Start { step, source },
    };
    Error::Execute { program, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn failures_of_the_image_name_what_it_asked_for() {
        let failed = |step, errno| {
            let failure = init::Failure { step, source: io::Error::from_raw_os_error(errno) };
            explain(failure, "/app".into(), "/srv".into())
        };
        for (step, errno, want) in [
            (Step::Execute, libc::ENOENT, "\"/app\": there is no such file"),
            (Step::Execute, libc::EACCES, "\"/app\": the file is not executable"),
            (Step::Execute, libc::ENOEXEC, "\"/app\": the file is neither a program"),
            (Step::Execute, libc::ELOOP, "\"/app\": Too many"),
            (Step::WorkingDir, libc::ENOTDIR, "\"/srv\""),
        ] {
            let error = failed(step, errno);
            assert!(error.to_string().contains(want) && error.is_images_fault(), "{error}");
        }
        let disk = failed(Step::Execute, libc::EIO);
        assert!(disk.is_disk_failure() && !disk.is_images_fault(), "{disk}");
        assert_eq!(disk.to_string(), "cannot read /app");
        let machine = failed(Step::Overlay, libc::ENOMEM);
        assert!(machine.is_exhaustion() && !machine.is_images_fault() && !machine.is_disk_failure(), "{machine}");
    }
}
