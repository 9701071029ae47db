//! A running instance: connections to its port, freezing, memory. `reaper` handles its end.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use network::Link;
use parking_lot::RwLock;
use sys::event::Timer;
use sys::init::Spawned;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use types::{ExitStatus, InstanceId, NetworkBytes};

use crate::cgroup::{CgroupState, InstanceCgroup};
use crate::chores::Chores;
use crate::connector::{Connector, Found};
use crate::host::Host;
use crate::killer::Killer;
use crate::listening::{self, Heard, Listener, NotListening};
use crate::memory::{Meter, Metered};
use crate::phases::Phase;
use crate::prewarm_pool::Namespaces;
use crate::reaper::Reaper;
use crate::runtime::Kind;
use crate::stop::Stop;

/// A running instance; ends when the last clone is dropped.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    id: InstanceId,
    pid: i32,
    /// The OCI runtime that isolates it; `None` for Sampan's own isolation.
    made_by: Option<Kind>,
    killer: Killer,
    connector: Connector,
    /// Its link to the outside, if any.
    link: Option<Arc<Link>>,
    /// Events of its listening sockets.
    heard: Option<Heard>,
    /// Read by every request that ends here, many at once; written after the instance has ended.
    cgroup: Arc<RwLock<CgroupState>>,
    meter: Arc<Meter>,
    metered: Arc<Metered>,
    exit: watch::Receiver<Option<ExitStatus>>,
    poll_interval_max: Duration,
    listen_look_interval: Duration,
    reclaim_frozen: bool,
    runtime: Handle,
    chores: Arc<Chores>,
}

/// A started process and the resources that are released after its end.
pub struct Started {
    /// Id of the instance.
    pub id: InstanceId,
    /// The process.
    pub spawned: Spawned,
    /// Its pidfd, registered with the runtime.
    pub pidfd: AsyncFd<OwnedFd>,
    /// Its cgroup.
    pub cgroup: InstanceCgroup,
    /// Its network, and host ids that are reserved until its end.
    pub namespaces: Namespaces,
    /// Connects into its network.
    pub connector: Connector,
    /// Events of its listening sockets, where the kernel has them.
    pub heard: Option<Heard>,
    /// The OCI runtime that isolates it; `None` for Sampan's own isolation.
    pub made_by: Option<Kind>,
}

impl Sandbox {
    /// Takes over a started process, and waits for its end on the runtime of `host`.
    pub(crate) fn new(host: &Arc<Host>, started: Started) -> Self {
        let Started { id, spawned, pidfd, cgroup, namespaces, connector, heard, made_by } = started;
        let Namespaces { network: _, cookie: _, link, ids } = namespaces;
        let killer = Killer::new(spawned.pidfd, &cgroup);
        let cgroup = Arc::new(RwLock::new(CgroupState::There(Box::new(cgroup))));
        let metered = Metered::new(cgroup.clone());
        host.meter.wake(&metered);
        let (publish, exit) = watch::channel(None);
        host.running.lock().insert(id.clone(), killer.clone());
        let reaper = Reaper {
            host: host.clone(),
            id: id.clone(),
            pidfd,
            cgroup: cgroup.clone(),
            held: (ids, link.clone()),
            exit: publish,
        };
        host.reapers.spawn_on(reaper.run(), &host.runtime);
        let inner = Inner {
            id,
            pid: spawned.pid,
            made_by,
            killer,
            connector,
            link,
            heard,
            cgroup,
            meter: host.meter.clone(),
            metered,
            exit,
            poll_interval_max: Duration::from_millis(host.config.poll_interval_ms_max.max(1)),
            listen_look_interval: Duration::from_millis(host.config.listen_look_interval_ms.max(1)),
            reclaim_frozen: host.config.reclaim_frozen,
            runtime: host.runtime.clone(),
            chores: host.chores.clone(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Its id.
    pub fn id(&self) -> &InstanceId {
        &self.inner.id
    }

    /// Pid of its first process in the platform's pid namespace, for diagnosis.
    pub fn pid(&self) -> i32 {
        self.inner.pid
    }

    /// Connects to a port inside the instance, by IPv4 and then IPv6 loopback; right after
    /// [`Self::wait_listening`], returns the connection that it made. Connections keep the
    /// instance's network in memory: drop them when it has ended.
    pub async fn connect(&self, port: u16) -> io::Result<tokio::net::TcpStream> {
        self.inner.connector.connect(port).await
    }

    /// Waits until a server accepts connections on `port`, for at most `longest`.
    pub async fn wait_listening(&self, port: u16, longest: Duration) -> Result<(), NotListening> {
        let begun = Instant::now();
        tokio::select! {
            biased;
            exit = self.exited() => Err(NotListening::Ended(exit)),
            found = timeout(longest, self.inner.find_server(port)) => {
                found.map_err(|_| NotListening::TimedOut(self.listeners()))?;
                Phase::Listen.record(begun);
                self.settle();
                Ok(())
            }
        }
    }

    /// Replaces the start quota by the regular processor quota, in parallel to the waiting request.
    fn settle(&self) {
        let (id, cgroup) = (self.inner.id.clone(), self.inner.cgroup.clone());
        self.inner.chores.prompt(move || {
            if let CgroupState::There(cgroup) = &*cgroup.read()
                && let Err(error) = cgroup.settle()
            {
                tracing::error!(instance = %id, %error, "an instance keeps the processor quota of its start");
            }
        });
    }

    /// Sockets on which the instance's processes listen.
    pub fn listeners(&self) -> Vec<Listener> {
        self.inner.listeners()
    }

    /// Resolves when it has ended, at once if it already has.
    pub async fn exited(&self) -> ExitStatus {
        let mut exit = self.inner.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
        // The reaper publishes before it ends; shutting down its runtime ends every instance.
        ended.unwrap_or(ExitStatus { code: None, signal: Some(libc::SIGKILL), out_of_memory: false })
    }

    /// Its exit status, once it has ended.
    pub fn exit(&self) -> Option<ExitStatus> {
        *self.inner.exit.borrow()
    }

    /// Kills it at once.
    pub fn kill(&self) {
        self.inner.killer.kill();
    }

    /// Sends a signal, frozen or not, and kills it after `grace`; at once when its first process
    /// neither catches nor blocks the signal, so that the kernel would drop it. Returns
    /// immediately; dropping the last handle still kills it.
    pub fn stop(&self, signal: i32, grace: Duration) {
        self.inner.connector.close_held();
        let Inner { pid, made_by, killer, exit, runtime, chores, .. } = &*self.inner;
        let stop =
            Stop { killer: killer.clone(), pid: *pid, runtime: *made_by, chores: chores.clone(), exit: exit.clone() };
        runtime.spawn(stop.run(signal, grace));
    }

    /// Sends a signal to its first process; the kernel drops it unless that process handles it.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.inner.killer.signal(signal)
    }

    /// Freezes all its processes, and reclaims memory that they are unlikely to need
    /// ([`Self::thaw`] undoes it). Fails when the machine cannot freeze, or the instance has ended.
    pub fn freeze(&self) -> io::Result<()> {
        self.inner.with_cgroup(|cgroup| {
            cgroup.freezer().ok_or(io::ErrorKind::Unsupported)?.freeze()?;
            self.inner.metered.sleep();
            if let Some(reclaim) = cgroup.reclaim().filter(|_| self.inner.reclaim_frozen) {
                // Before the reclaim, while its page cache can be told from the rest.
                cgroup.sample_memory();
                self.inner.chores.cleanup(move || {
                    if let Err(error) = reclaim.run() {
                        tracing::debug!(%error, "cannot reclaim memory of a frozen instance");
                    }
                });
            }
            Ok(())
        })
    }

    /// Thaws its processes; they run when this returns, or within a fraction of a millisecond.
    pub fn thaw(&self) -> io::Result<()> {
        self.inner.meter.wake(&self.inner.metered);
        self.inner.with_cgroup(|cgroup| cgroup.freezer().ok_or(io::ErrorKind::Unsupported)?.thaw())
    }

    /// Whether the OOM killer ended one of its processes. Version 1 of cgroups does not kill the
    /// others, so that it may still run.
    pub fn out_of_memory(&self) -> bool {
        match &*self.inner.cgroup.read() {
            CgroupState::There(cgroup) => cgroup.out_of_memory_kills() > 0,
            CgroupState::Gone(_) => self.exit().is_some_and(|exit| exit.out_of_memory),
        }
    }

    /// Its source address, if it has a link.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.inner.link.as_ref().map(|link| link.address())
    }

    /// Bytes that it sent to and received from outside, without requests; all 0 without a link.
    /// Stays readable when it has ended.
    pub fn network_bytes(&self) -> io::Result<NetworkBytes> {
        self.inner.link.as_ref().map_or(Ok(NetworkBytes::default()), |link| link.bytes())
    }

    /// Highest memory use of its processes, the files that it wrote, and the kernel's memory for
    /// it, in bytes, without the page cache of its image. Short peaks may be missed where they only
    /// replaced page cache.
    pub fn memory_peak_bytes(&self) -> u64 {
        self.inner.cgroup.read().memory_peak_bytes()
    }
}

impl Inner {
    fn with_cgroup(&self, act: impl FnOnce(&InstanceCgroup) -> io::Result<()>) -> io::Result<()> {
        match &*self.cgroup.read() {
            CgroupState::There(cgroup) => act(cgroup),
            CgroupState::Gone(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Resolves when a server on `port` has accepted a connection.
    async fn find_server(&self, port: u16) {
        if let Some(heard) = &self.heard {
            while timeout(self.listen_look_interval, heard.listens(port)).await.is_err() {
                if self.look(port, true).await {
                    return;
                }
            }
        }
        self.poll(port).await;
    }

    /// Polls with a timer finer than tokio's: a millisecond is longer than many servers take to
    /// start.
    async fn poll(&self, port: u16) {
        let started = Instant::now();
        // After an event the server is there, at one address or the other.
        let told = self.heard.is_some();
        let mut timer: Option<Timer> = None;
        for attempt in 0_u32.. {
            if self.look(port, told || listening::tries_v6(attempt)).await {
                return;
            }
            let pause = listening::interval(started.elapsed(), self.poll_interval_max);
            timer = timer.or_else(|| Timer::new().ok());
            let paused = match &mut timer {
                Some(timer) => timer.sleep(pause).await.is_ok(),
                None => false,
            };
            if !paused {
                timer = None;
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn look(&self, port: u16, v6_too: bool) -> bool {
        let addresses = listening::candidates(port);
        for address in addresses.into_iter().take(if v6_too { 2 } else { 1 }) {
            match self.connector.find(address).await {
                Found::Server => return true,
                Found::NoAnswer if self.listeners().iter().any(|listener| listener.port == port) => return true,
                Found::NotListening | Found::NoAnswer => {}
            }
        }
        false
    }

    fn listeners(&self) -> Vec<Listener> {
        let table = |name: &str| std::fs::read_to_string(format!("/proc/{}/net/{name}", self.pid));
        ["tcp", "tcp6"].map(table).into_iter().flatten().flat_map(|table| listening::parse(&table)).collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.exit.borrow().is_none() {
            self.killer.kill();
        }
    }
}
