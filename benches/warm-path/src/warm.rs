//! The warm path as `sampan up` wires it: gateway, invoke, pool and logs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway::{Gateway, Listeners};
use invoke::Invoker;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalog::catalog;
use crate::instances::Upstream;

/// Serves on a free loopback port, with logs in a temporary directory.
pub async fn serve(upstream: SocketAddr) -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let logs = logs::Logs::open(work.path(), logs::Config::default()).await?;
    let (_changed, changes) = watch::channel(0);
    let (catalog, shutdown) = (catalog()?, CancellationToken::new());
    let parts = invoke::Parts {
        catalog: catalog.clone(),
        changes,
        launch: Arc::new(Upstream(upstream)),
        logs: logs.clone(),
        platform: invoke::Installation { region: "local".into(), app_id: "1".into(), uin: "2".into() },
        results_dir: work.path().join("results"),
    };
    let invoker = Invoker::new(parts, invoke::Config::default(), pool::Config::default(), &shutdown)?;
    let plain = TcpListener::bind("127.0.0.1:0").await?;
    let address = plain.local_addr()?;
    let listeners = Listeners { plain, tls: None, instances: None };
    let gateway =
        Gateway::serve(listeners, invoker.clone(), catalog, None, gateway::Config::default(), shutdown.clone())?;
    super::serve_until_stdin_ends(address).await?;
    shutdown.cancel();
    gateway.join().await;
    invoker.drain(Duration::ZERO, Duration::ZERO).await;
    logs.shutdown().await;
    Ok(())
}
