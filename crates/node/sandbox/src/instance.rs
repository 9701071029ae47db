//! A running instance: reaching its port, freezing it, its memory. Its end is the reaper's.

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

/// A running instance; ends when the last clone goes.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    id: InstanceId,
    pid: i32,
    /// What isolates it, unless we do.
    made_by: Option<Kind>,
    killer: Killer,
    connector: Connector,
    /// Its link to the outside, if it has one.
    link: Option<Arc<Link>>,
    /// Events of its listening sockets.
    heard: Option<Heard>,
    /// Read by every request that ends here, many at once; written when the instance has ended.
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

/// A started process and all that must go when it goes.
pub struct Started {
    /// Id of the instance.
    pub id: InstanceId,
    /// The process.
    pub spawned: Spawned,
    /// Its pidfd, registered with the runtime.
    pub pidfd: AsyncFd<OwnedFd>,
    /// Its cgroup.
    pub cgroup: InstanceCgroup,
    /// Its network namespace and host ids, which must not be reused while it exists.
    pub namespaces: Namespaces,
    /// Connects into its network.
    pub connector: Connector,
    /// Events of its listening sockets, where the kernel has them.
    pub heard: Option<Heard>,
    /// The runtime that isolates it, unless we do.
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

    /// Number of its first process in the platform's pid namespace, for diagnosis.
    pub fn pid(&self) -> i32 {
        self.inner.pid
    }

    /// Connects to a port inside the instance, by IPv4 and then IPv6 loopback; right after
    /// [`Self::wait_listening`], gives the connection that it made. Connections keep the instance's
    /// network in memory: drop them when it has ended.
    pub async fn connect(&self, port: u16) -> io::Result<tokio::net::TcpStream> {
        self.inner.connector.connect(port).await
    }

    /// Waits until a server accepts connections on `port`, at most `longest`.
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

    /// Gives it the processor quota of one that has started, beside the request that waits for it.
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

    /// Where the instance's processes listen.
    pub fn listeners(&self) -> Vec<Listener> {
        self.inner.listeners()
    }

    /// Resolves when it has ended; at once if it has.
    pub async fn exited(&self) -> ExitStatus {
        let mut exit = self.inner.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
        // The reaper publishes before it ends; a runtime that is torn down ends every instance.
        ended.unwrap_or(ExitStatus { code: None, signal: Some(libc::SIGKILL), out_of_memory: false })
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<ExitStatus> {
        *self.inner.exit.borrow()
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.inner.killer.kill();
    }

    /// Asks it to end with a signal, frozen or not, and kills it when it has not after `grace`; at
    /// once when its first process neither catches the signal nor has it blocked, so that the
    /// kernel would drop it. Returns immediately; dropping the last handle kills it all the same.
    pub fn stop(&self, signal: i32, grace: Duration) {
        let Inner { pid, made_by, killer, exit, runtime, chores, .. } = &*self.inner;
        let stop =
            Stop { killer: killer.clone(), pid: *pid, runtime: *made_by, chores: chores.clone(), exit: exit.clone() };
        runtime.spawn(stop.run(signal, grace));
    }

    /// Sends a signal to its first process, which the kernel ignores unless that process handles
    /// it.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.inner.killer.signal(signal)
    }

    /// Stops all its processes where they are, and gives back memory that they are unlikely to need
    /// ([`Self::thaw`] undoes it). Fails when the machine cannot, or the instance has ended.
    pub fn freeze(&self) -> io::Result<()> {
        self.inner.with_cgroup(|cgroup| {
            cgroup.freezer().ok_or(io::ErrorKind::Unsupported)?.freeze()?;
            self.inner.metered.sleep();
            if let Some(reclaim) = cgroup.reclaim().filter(|_| self.inner.reclaim_frozen) {
                // Sample while its page cache still exists and can be told apart.
                cgroup.sample_memory();
                self.inner.chores.cleanup(move || {
                    if let Err(error) = reclaim.run() {
                        tracing::debug!(%error, "memory of a frozen instance was not taken back");
                    }
                });
            }
            Ok(())
        })
    }

    /// Lets its processes go on; they do when this returns, or within a fraction of a millisecond.
    pub fn thaw(&self) -> io::Result<()> {
        self.inner.meter.wake(&self.inner.metered);
        self.inner.with_cgroup(|cgroup| cgroup.freezer().ok_or(io::ErrorKind::Unsupported)?.thaw())
    }

    /// Whether the kernel has killed one of its processes for memory. Version 1 of cgroups leaves
    /// the others to it, so that it may still run.
    pub fn out_of_memory(&self) -> bool {
        match &*self.inner.cgroup.read() {
            CgroupState::There(cgroup) => cgroup.out_of_memory_kills() > 0,
            CgroupState::Gone(_) => self.exit().is_some_and(|exit| exit.out_of_memory),
        }
    }

    /// The address that it sends from, if it has a link.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.inner.link.as_ref().map(|link| link.address())
    }

    /// What went out of it and came in from outside, requests not among it; all 0 without a link.
    /// Stays readable when it has ended.
    pub fn network_bytes(&self) -> io::Result<NetworkBytes> {
        self.inner.link.as_ref().map_or(Ok(NetworkBytes::default()), |link| link.bytes())
    }

    /// The most memory that its processes, the files that it wrote, and the kernel for it took at
    /// once, in bytes; not the page cache of its image. Short peaks that page cache stood in for
    /// may be missed.
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

    /// Resolves when a server on `port` has taken a connection.
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

    /// Tries again and again, with a timer finer than tokio's: a millisecond is longer than many
    /// servers take to start.
    async fn poll(&self, port: u16) {
        let started = Instant::now();
        // What the kernel told of is there, at one address or the other.
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
