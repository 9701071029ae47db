//! Notification by the kernel that an instance's server listens, without polling: one sock_ops
//! program on the common cgroup of all instances, and one task that reads its ring buffer.
//!
//! An instance is registered before its program starts, so that no event precedes its waiter.
//! Events are lost while the ring buffer is full, so waiters also poll at a long interval.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use sys::bpf::{Listen, Listens};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Most recorded ports of one instance; a server that listens on its port after so many others is
/// found by polling.
const PORTS_MAX: usize = 64;

type Ports = watch::Sender<BTreeSet<u16>>;

/// Ports that instances listen on, by the netns cookies of registered instances.
#[derive(Default)]
struct Registered(Mutex<HashMap<u64, Ports>>);

impl Registered {
    fn record(&self, listen: Listen) {
        if let Some(ports) = self.0.lock().get(&listen.network) {
            ports.send_if_modified(|ports| ports.len() < PORTS_MAX && ports.insert(listen.port()));
        }
    }
}

/// The attached program and the task that reads its events; both end when this is dropped.
pub struct Watch {
    registered: Arc<Registered>,
    _task: AbortOnDropHandle<()>,
}

impl Watch {
    /// Attaches the program to the common cgroup2 directory of all instances.
    pub fn start(directory: &Path, runtime: &Handle) -> io::Result<Self> {
        let listens = Listens::attach(&File::open(directory)?)?;
        let _on_runtime = runtime.enter();
        let ready = sys::event::readable(listens.readiness()?)?;
        let registered = Arc::<Registered>::default();
        let read = read(listens, ready, registered.clone());
        let task = AbortOnDropHandle::new(
            runtime.spawn(async move { _ = supervisor::essential("listening sockets", read).await }),
        );
        Ok(Self { registered, _task: task })
    }

    /// Records sockets that begin to listen in the network namespace with this cookie.
    pub fn register(&self, network: u64) -> Heard {
        let (sender, ports) = watch::channel(BTreeSet::new());
        self.registered.0.lock().insert(network, sender);
        Heard { network, ports, registered: self.registered.clone() }
    }
}

async fn read(mut listens: Listens, ready: AsyncFd<OwnedFd>, registered: Arc<Registered>) {
    loop {
        match ready.readable().await {
            // Cleared before the ring is read: later events are read now or wake the task again.
            Ok(mut guard) => guard.clear_ready(),
            Err(error) => {
                return tracing::error!(%error, "cannot read sock_ops events; polling for listening servers");
            }
        }
        listens.read(|listen| registered.record(listen));
    }
}

/// The recorded ports of one instance; dropped with this.
pub struct Heard {
    network: u64,
    ports: watch::Receiver<BTreeSet<u16>>,
    registered: Arc<Registered>,
}

impl Heard {
    /// Resolves when a socket listens on `port`, at once if one did before.
    pub async fn listens(&self, port: u16) {
        let mut ports = self.ports.clone();
        if ports.wait_for(|ports| ports.contains(&port)).await.is_err() {
            // The task has ended; waiters poll.
            std::future::pending().await
        }
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.registered.0.lock().remove(&self.network);
    }
}
