//! Accepts connections into the table, up to its capacity, and drains them on shutdown.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::connection::{Connection, Phase};
use crate::table::Connections;
use crate::timeouts::Timeouts;

/// A listening socket with its limits.
pub struct Acceptor {
    /// Name of the accepting task, in logs and health checks.
    pub name: &'static str,
    /// The listening socket.
    pub listener: TcpListener,
    /// The table that accepted connections enter.
    pub connections: Connections,
    /// Timeouts of each connection.
    pub timeouts: Timeouts,
    /// Pause after accept(2) failed for want of a descriptor, and between attempts to enter a full
    /// table.
    pub retry: Duration,
    /// Time for requests under way to finish after shutdown began.
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
    /// Spawns a task for each connection until `shutdown`, then drains.
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
            let (socket, address) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_client(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, "accept failed; retrying");
                    tokio::time::sleep(self.retry).await;
                    continue;
                }
            };
            let entry = self.connections.enter(address.ip(), self.retry).await;
            let connection = Connection::new(entry, address, self.timeouts, phase.clone());
            let span = tracing::debug_span!("connection", peer = %address);
            tasks.spawn(serve(Accepted { socket, address, connection }).instrument(span));
        }
    }
}

/// Errors of one client's connection, not of the listening socket (accept(2)).
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
