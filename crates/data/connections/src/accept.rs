//! Accepts connections into the table, up to its capacity, and drains them on shutdown.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::connection::{Connection, Phase};
use crate::incoming::Incoming;
use crate::table::Connections;
use crate::timeouts::Timeouts;
use crate::workers::Workers;

/// A listening socket with its limits.
pub struct Acceptor {
    /// Name of the accepting task, in logs and health checks.
    pub name: &'static str,
    /// The listening socket, or another source of connections.
    pub listener: Incoming,
    /// The table that accepted connections enter.
    pub connections: Connections,
    /// Timeouts of each connection.
    pub timeouts: Timeouts,
    /// The threads that serve the connections; `None` for the runtime of [`Acceptor::run`].
    pub workers: Option<Workers>,
    /// Pause after accept(2) failed for lack of a descriptor, and between attempts to enter a full
    /// table.
    pub retry: Duration,
    /// Time for requests in flight to finish after shutdown began.
    pub drain: Duration,
}

/// An accepted connection.
pub struct Accepted {
    /// The client's socket.
    pub socket: TcpStream,
    /// The client's address.
    pub address: SocketAddr,
    /// Its table entry and timeouts.
    pub connection: Connection,
}

impl Acceptor {
    /// Spawns a task for each connection, on a worker, until `shutdown`, then drains.
    pub async fn run<F>(self, shutdown: CancellationToken, serve: impl Fn(Accepted) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (phase, watched) = watch::channel(Phase::Open);
        let tasks = TaskTracker::new();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = supervisor::restarting(self.name, || self.accept(&tasks, &watched, &serve)) => {}
        }
        let drain = self.drain;
        // Frees the port before the last request has ended.
        drop(self);
        tasks.close();
        phase.send_replace(Phase::Draining);
        if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
            tracing::warn!(
                connections = tasks.len(),
                drain_s = drain.as_secs(),
                "drain timeout passed; closing connections"
            );
            phase.send_replace(Phase::Cut);
            tasks.wait().await;
        }
    }

    async fn accept<F>(&self, tasks: &TaskTracker, phase: &watch::Receiver<Phase>, serve: impl Fn(Accepted) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        loop {
            let (socket, address, held) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_client(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, "accept failed; retrying");
                    tokio::time::sleep(self.retry).await;
                    continue;
                }
            };
            let mut entry = self.connections.enter(address.ip(), self.retry).await;
            entry.held = held;
            let (socket, runtime) = match &self.workers {
                None => (socket, Handle::current()),
                Some(workers) => match workers.hand_over(socket) {
                    Ok((socket, runtime, served)) => {
                        entry.served = Some(served);
                        (socket, runtime)
                    }
                    Err(error) => {
                        tracing::warn!(%error, %address, "cannot register a connection with its worker; closing it");
                        continue;
                    }
                },
            };
            let connection = Connection::new(entry, address, self.timeouts, phase.clone());
            let span = tracing::debug_span!("connection", peer = %address);
            tasks.spawn_on(serve(Accepted { socket, address, connection }).instrument(span), &runtime);
        }
    }
}

/// Errors of one client's connection, not of the listening socket (accept(2)).
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
