//! `Launch` with one external server as every instance, so that only the platform's instructions
//! are counted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use pool::{BoxFuture, ColdStart, ExitStatus, Launch, LaunchError, Launched, Process};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use types::{CatalogVersion, InstanceId, RequestId};

/// Launcher that starts no process: every instance is the server at this address.
pub struct Upstream(pub SocketAddr);

impl Launch for Upstream {
    fn launch(
        &self,
        _id: InstanceId,
        _version: Arc<CatalogVersion>,
        _first_request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        let process = Arc::new(Instance { server: self.0, killed: CancellationToken::new() });
        Box::pin(async { Ok(Launched { process, cold_start: ColdStart::default() }) })
    }
}

struct Instance {
    server: SocketAddr,
    killed: CancellationToken,
}

impl Process for Instance {
    fn connect(&self) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(self.server))
    }

    fn ended(&self) -> BoxFuture<'_, ExitStatus> {
        Box::pin(async {
            self.killed.cancelled().await;
            ExitStatus { code: None, signal: Some(9), out_of_memory: false }
        })
    }

    fn kill(&self) {
        self.killed.cancel();
    }

    fn memory_peak_bytes(&self) -> u64 {
        0
    }
}
