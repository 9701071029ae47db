//! Takes connections, as many as there may be, and waits for them at the end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::activity::Timeouts;
use crate::connection::{Connection, Phase};
use crate::table::Connections;

/// Where connections come from, and what they may.
pub struct Acceptor {
    /// Name of the task that takes them, in logs and health checks.
    pub name: &'static str,
    /// Takes them.
    pub listener: TcpListener,
    /// The table that they are in.
    pub connections: Connections,
    /// How long each may be in each state.
    pub timeouts: Timeouts,
    /// Pause after the system refused a connection (no file descriptor left), and between looks for room.
    pub retry: Duration,
    /// Longest that requests under way may take after the end.
    pub drain: Duration,
}

/// A connection that was taken.
pub struct Accepted {
    /// Its socket.
    pub socket: TcpStream,
    /// Where its client is.
    pub address: SocketAddr,
    /// Its place, and when it has to go.
    pub connection: Connection,
}

impl Acceptor {
    /// Has each connection served in a task of its own until `shutdown`, then drains.
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
        // The port is free again before the last request has ended.
        drop(self);
        tasks.close();
        phase.send_replace(Phase::Draining);
        if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), drain_s = drain.as_secs(), "connections cut off");
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
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted; trying again");
                    tokio::time::sleep(self.retry).await;
                    continue;
                }
            };
            let member = self.connections.enter(address.ip(), self.retry).await;
            let connection = Connection::new(member, address, self.timeouts, phase.clone());
            tasks.spawn(serve(Accepted { socket, address, connection }));
        }
    }
}

/// Errors that say something about the client and nothing about us (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
