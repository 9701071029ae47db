//! A running instance: reaching its port, its memory, its end.
//!
//! One task owns the end of each instance: it waits for the process, reads what the cgroup says of it, tells everyone who
//! waits, and then removes what is left.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use sys::Spawned;
use sys::event::Timer;
use sys::process::Ended;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::time::timeout;
use types::InstanceId;

use crate::cgroup::InstanceCgroup;
use crate::listening::{self, Listener, NotListening};
use crate::slots::{Ids, Slot};
use crate::workers::Shared;

/// How long one attempt waits for an answer that did not come within the call: over the loopback it usually does, on a busy
/// machine a moment later, or not at all when the queue of a server that listens is full.
const ANSWER_WAIT: Duration = Duration::from_millis(20);

/// Memory of an instance, in bytes: of its processes and of the files that it wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Now; 0 when it has ended.
    pub current_bytes: u64,
    /// At its most.
    pub peak_bytes: u64,
}

/// How an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, when it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed one of its processes for memory, and it did not end well.
    pub out_of_memory: bool,
}

/// A running instance; ends when the last clone goes.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    id: InstanceId,
    pid: i32,
    killer: Killer,
    network: Arc<OwnedFd>,
    home: Arc<OwnedFd>,
    cgroup: Arc<Mutex<CgroupState>>,
    exit: watch::Receiver<Option<Exit>>,
    poll_interval_max: Duration,
}

/// Taken by the end's owner when it removes the cgroup; the last reading stays.
enum CgroupState {
    There(InstanceCgroup),
    Gone(Memory),
}

impl CgroupState {
    fn memory(&self) -> Memory {
        match self {
            Self::There(cgroup) => cgroup.memory(),
            Self::Gone(memory) => *memory,
        }
    }
}

/// Ends an instance from outside its handle, such as on shutdown.
#[derive(Clone)]
pub struct Killer(Arc<OwnedFd>);

impl Killer {
    /// Kills pid 1 of the instance, with which the kernel ends all its processes.
    pub fn kill(&self) {
        // The only error is that it has ended already.
        sys::process::send_signal(&*self.0, libc::SIGKILL).ok();
    }
}

/// A started process and all that must go when it goes.
pub struct Started {
    /// Id of the instance.
    pub id: InstanceId,
    /// The process.
    pub spawned: Spawned,
    /// Its pidfd, registered with the runtime.
    pub end: AsyncFd<OwnedFd>,
    /// Its cgroup.
    pub cgroup: InstanceCgroup,
    /// Its network, and ids that nobody else may have while it is there.
    pub slot: Slot,
}

impl Sandbox {
    /// Takes over a started process, and waits for its end on the runtime of `shared`.
    pub(crate) fn new(shared: &Arc<Shared>, started: Started) -> Self {
        let Started { id, spawned, end, cgroup, slot } = started;
        let Slot { network, ids } = slot;
        let killer = Killer(Arc::new(spawned.pidfd));
        let cgroup = Arc::new(Mutex::new(CgroupState::There(cgroup)));
        let (told, exit) = watch::channel(None);
        shared.running.lock().insert(id.clone(), killer.clone());
        let owner = own_end(shared.clone(), id.clone(), end, cgroup.clone(), ids, told);
        shared.ends.spawn_on(owner, &shared.runtime);
        let inner = Inner {
            id,
            pid: spawned.pid,
            killer,
            network,
            home: shared.home.clone(),
            cgroup,
            exit,
            poll_interval_max: Duration::from_millis(shared.config.poll_interval_ms_max.max(1)),
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

    /// Connects to a port inside the instance, by IPv4 and then IPv6 loopback. Connections keep the instance's network in
    /// memory: drop them when it has ended.
    pub async fn connect(&self, port: u16) -> io::Result<tokio::net::TcpStream> {
        let [v4, v6] = listening::candidates(port);
        match self.inner.connect(v4).await {
            // A server may be bound to one of them only; the first error says more when neither has one.
            Err(error) => self.inner.connect(v6).await.map_err(|_| error),
            connected => connected,
        }
    }

    /// Waits until a server accepts connections on `port`, at most `longest`.
    pub async fn wait_listening(&self, port: u16, longest: Duration) -> Result<(), NotListening> {
        tokio::select! {
            biased;
            exit = self.exited() => Err(NotListening::Ended(exit)),
            polled = timeout(longest, self.inner.poll_listening(port)) => {
                polled.map_err(|_| NotListening::TimedOut(self.listeners()))
            }
        }
    }

    /// Where the instance's processes listen.
    pub fn listeners(&self) -> Vec<Listener> {
        self.inner.listeners()
    }

    /// Resolves when it has ended; at once if it has.
    pub async fn exited(&self) -> Exit {
        let mut exit = self.inner.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
        // The owner of the end always tells before it goes; a runtime that is torn down ends every instance.
        ended.unwrap_or(Exit { code: None, signal: Some(libc::SIGKILL), out_of_memory: false })
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        *self.inner.exit.borrow()
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.inner.killer.kill();
    }

    /// Sends a signal to its first process, which the kernel ignores unless that process handles it.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        sys::process::send_signal(&*self.inner.killer.0, signal)
    }

    /// Memory of all its processes and of the files it wrote.
    pub fn memory(&self) -> Memory {
        self.inner.cgroup.lock().memory()
    }
}

impl Inner {
    async fn connect(&self, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        // The socket belongs to the instance's network for ever; only making it needs this thread to be there.
        let socket = self.socket(address)?;
        let stream = TcpSocket::from_std_stream(TcpStream::from(socket)).connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn socket(&self, address: SocketAddr) -> io::Result<OwnedFd> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        sys::namespace::in_network(self.network.as_fd(), self.home.as_fd(), || {
            Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
        })
    }

    /// Tries again and again, with a timer finer than tokio's: a millisecond is longer than many servers take to start.
    async fn poll_listening(&self, port: u16) {
        let started = Instant::now();
        let mut timer = Timer::new().ok();
        let [v4, v6] = listening::candidates(port);
        for attempt in 0_u32.. {
            if self.accepts(v4).await || (listening::tries_v6(attempt) && self.accepts(v6).await) {
                return;
            }
            let pause = listening::interval(started.elapsed(), self.poll_interval_max);
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

    async fn accepts(&self, address: SocketAddr) -> bool {
        match timeout(ANSWER_WAIT, self.connect(address)).await {
            Ok(connected) => connected.is_ok(),
            Err(_) => self.listeners().iter().any(|listener| listener.port == address.port()),
        }
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

/// The task that owns the end of an instance.
async fn own_end(
    shared: Arc<Shared>,
    id: InstanceId,
    end: AsyncFd<OwnedFd>,
    cgroup: Arc<Mutex<CgroupState>>,
    ids: Ids,
    told: watch::Sender<Option<Exit>>,
) {
    if let Err(error) = end.readable().await {
        tracing::error!(instance = %id, %error, "waiting for an instance failed; it is killed");
        sys::process::send_signal(end.get_ref(), libc::SIGKILL).ok();
    }
    let cleaning = tokio::task::spawn_blocking(move || {
        // At once, but after a failed wait above; and nothing that the kernel may take its time for on a tokio worker.
        let exit = exit(sys::process::wait(end.get_ref()), &cgroup.lock());
        told.send_replace(Some(exit));
        remove(&cgroup);
        // Its ids may be another instance's from here on.
        drop(ids);
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

/// Removes the cgroup; its last reading stays.
fn remove(cgroup: &Mutex<CgroupState>) {
    let removed = {
        let mut state = cgroup.lock();
        let memory = Memory { current_bytes: 0, ..state.memory() };
        std::mem::replace(&mut *state, CgroupState::Gone(memory))
    };
    if let CgroupState::There(cgroup) = removed {
        cgroup.remove();
    }
}
