//! Threads that serve connections, each with a current-thread runtime: a socket, its timers and its
//! tasks stay on one thread, so that no wake-up crosses processors and no task is stolen.
//!
//! Work that outlives a connection (starts of instances, runs of events) belongs to the runtime of
//! the platform: it must not end with these threads, nor delay the connections of one.

use std::cell::Cell;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

thread_local! {
    static CURRENT: Cell<WorkerId> = const { Cell::new(WorkerId::NONE) };
}

/// Identifies one of the process's workers. A socket is registered with the runtime of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerId(Option<NonZeroUsize>);

impl WorkerId {
    /// A thread that is not a worker, such as those of the platform's runtime.
    pub const NONE: Self = Self(None);

    /// The calling thread.
    pub fn current() -> Self {
        CURRENT.get()
    }

    fn next() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static LAST: AtomicUsize = AtomicUsize::new(0);
        Self(NonZeroUsize::new(LAST.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

/// The threads; cheap to clone. Once the last clone is dropped they end together, with the last
/// socket that any of them serves.
#[derive(Clone)]
pub struct Workers {
    workers: Arc<[Worker]>,
    _stop: Arc<DropGuard>,
}

#[derive(Clone)]
struct Worker {
    runtime: Handle,
    sockets: TaskTracker,
}

/// A socket that a worker serves, counted by the worker.
pub(crate) struct ServedSocket {
    _counted: TaskTrackerToken,
}

impl Workers {
    /// Starts one for each processor that the process may use.
    ///
    /// # Errors
    /// When a thread or a runtime cannot be created.
    pub fn one_per_processor() -> io::Result<Self> {
        Self::start(thread::available_parallelism().map_or(1, NonZeroUsize::get))
    }

    /// Starts `count`, at least one.
    ///
    /// # Errors
    /// When a thread or a runtime cannot be created.
    pub fn start(count: usize) -> io::Result<Self> {
        let runtimes = (0..count.max(1)).map(|_| Builder::new_current_thread().enable_all().build());
        let runtimes = runtimes.collect::<io::Result<Vec<_>>>()?;
        let worker = |runtime: &tokio::runtime::Runtime| Worker {
            runtime: runtime.handle().clone(),
            sockets: TaskTracker::new(),
        };
        let workers: Arc<[Worker]> = runtimes.iter().map(worker).collect();
        let stop = CancellationToken::new();
        let guard = Arc::new(stop.clone().drop_guard());
        for (number, runtime) in runtimes.into_iter().enumerate() {
            let (workers, stop) = (Arc::clone(&workers), stop.clone());
            thread::Builder::new().name(format!("connections-{number}")).spawn(move || {
                CURRENT.set(WorkerId::next());
                runtime.block_on(until_unused(&workers, &stop));
            })?;
        }
        Ok(Self { workers, _stop: guard })
    }

    /// The runtime of each worker, to spawn tasks on it.
    pub fn runtimes(&self) -> impl Iterator<Item = &Handle> {
        self.workers.iter().map(|worker| &worker.runtime)
    }

    /// The worker with the fewest sockets.
    fn least_loaded(&self) -> &Worker {
        self.workers.iter().min_by_key(|worker| worker.sockets.len()).expect("there is at least one worker")
    }

    /// Registers a socket with the worker that has the fewest.
    ///
    /// # Errors
    /// When the registration fails.
    pub(crate) fn hand_over(&self, socket: TcpStream) -> io::Result<(TcpStream, Handle, ServedSocket)> {
        let worker = self.least_loaded();
        let served = ServedSocket { _counted: worker.sockets.token() };
        let socket = socket.into_std()?;
        let _entered = worker.runtime.enter();
        Ok((TcpStream::from_std(socket)?, worker.runtime.clone(), served))
    }
}

/// Resolves when `stop` is cancelled and no worker serves a socket. A worker without sockets of its
/// own may still have connections that the others use.
async fn until_unused(workers: &[Worker], stop: &CancellationToken) {
    stop.cancelled().await;
    for worker in workers {
        worker.sockets.close();
        worker.sockets.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A socket of a worker, its count guard, and its peer.
    async fn handed_over(workers: &Workers) -> (TcpStream, Handle, ServedSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (socket, runtime, served) = workers.hand_over(far.expect("accepted").0).expect("registered");
        (socket, runtime, served, near.expect("connected"))
    }

    async fn worker_of(runtime: &Handle) -> WorkerId {
        runtime.spawn(async { WorkerId::current() }).await.expect("the worker runs")
    }

    #[tokio::test]
    async fn sockets_go_to_the_worker_that_has_the_fewest() {
        let workers = Workers::start(2).expect("two threads");
        let (_a, first, served, _) = handed_over(&workers).await;
        let (_b, second, _second, _) = handed_over(&workers).await;
        let (first, second) = (worker_of(&first).await, worker_of(&second).await);
        assert!(first != second && first != WorkerId::NONE && second != WorkerId::NONE);
        drop(served);
        let (_c, third, ..) = handed_over(&workers).await;
        assert_eq!(worker_of(&third).await, first, "it has none any more");
        assert_eq!(WorkerId::current(), WorkerId::NONE);
    }

    #[tokio::test]
    async fn workers_serve_their_sockets_to_the_end_and_end_together() {
        let workers = Workers::start(2).expect("two threads");
        let (mut socket, runtime, served, mut peer) = handed_over(&workers).await;
        let other = workers.workers.iter().find(|worker| worker.sockets.is_empty()).expect("one is unused").clone();
        drop(workers);
        let echo = runtime.spawn(async move {
            let mut byte = [0];
            socket.read_exact(&mut byte).await.expect("readable");
            socket.write_all(&byte).await.expect("writable");
            drop(served);
        });
        assert_ne!(worker_of(&other.runtime).await, WorkerId::NONE, "it runs as long as any");
        peer.write_all(b"x").await.expect("written");
        let mut byte = [0];
        peer.read_exact(&mut byte).await.expect("echoed");
        echo.await.expect("no panic");
        // A runtime that has ended cancels tasks spawned on it.
        while other.runtime.spawn(async {}).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
