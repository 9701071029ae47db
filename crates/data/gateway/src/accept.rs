//! Takes connections, as many as there may be, and waits for them at the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::connection::{self, Opened, Phase};
use crate::service::Shared;
use crate::tls::Tls;

/// Room for the connections of all listeners.
pub fn slots(config: &Config) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(config.connections_max.clamp(1, Semaphore::MAX_PERMITS)))
}

/// Where connections come from, and what they speak before HTTP.
pub struct Entrance {
    /// Takes them.
    pub listener: TcpListener,
    /// Nothing for plain connections.
    pub tls: Option<Arc<Tls>>,
    /// Room for them.
    pub slots: Arc<Semaphore>,
}

/// Serves an entrance until `shutdown`, then drains.
pub async fn run(entrance: Entrance, shared: Arc<Shared>, config: Config, shutdown: CancellationToken) {
    let (phase, watched) = watch::channel(Phase::Open);
    let connections = TaskTracker::new();
    let stopped = shutdown.clone();
    tokio::select! {
        biased;
        () = stopped.cancelled() => {}
        () = accept(&entrance, &shared, &config, &connections, &watched) => {}
    }
    // The port is free again before the last request has ended.
    drop(entrance);
    connections.close();
    phase.send_replace(Phase::Draining);
    if tokio::time::timeout(Duration::from_secs(config.drain_s), connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), drain_s = config.drain_s, "connections cut off");
        phase.send_replace(Phase::Cut);
        connections.wait().await;
    }
}

async fn accept(
    Entrance { listener, tls, slots }: &Entrance,
    shared: &Arc<Shared>,
    config: &Config,
    connections: &TaskTracker,
    phase: &watch::Receiver<Phase>,
) {
    let protocol = Arc::new(connection::protocol(config));
    loop {
        let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (socket, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted; trying again");
                tokio::time::sleep(Duration::from_millis(config.accept_retry_ms)).await;
                continue;
            }
        };
        let opened = Opened { socket, address, tls: tls.clone() };
        let serving = connection::run(opened, shared.clone(), protocol.clone(), phase.clone());
        let meters = shared.clone();
        connections.spawn(async move {
            meters.meters.connections.increment(1.0);
            serving.await;
            meters.meters.connections.decrement(1.0);
            drop(slot);
        });
    }
}

/// Errors that say something about the client and nothing about us (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
