//! Instances that are servers in this process. The event's JSON selects their behaviour.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pool::{BoxFuture, ColdStart, ExitStatus, Launch, LaunchError, Launched, Process};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use types::{CatalogVersion, InstanceId, RequestId};

/// Address of all of them.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Launches these instances.
pub struct FakeLaunch {
    logs: logs::Logs,
}

struct FakeProcess {
    port: u16,
    over: CancellationToken,
}

impl FakeLaunch {
    pub fn new(logs: logs::Logs) -> Self {
        Self { logs }
    }
}

impl Launch for FakeLaunch {
    fn launch(
        &self,
        id: InstanceId,
        version: Arc<CatalogVersion>,
        first_request: RequestId,
    ) -> BoxFuture<'_, Result<Launched, LaunchError>> {
        Box::pin(async move {
            let stdio = self.logs.attach(&id, &version.function, version.key.version).unwrap();
            self.logs.assign(&id, Some(&first_request));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let process = FakeProcess { port: listener.local_addr().unwrap().port(), over: CancellationToken::new() };
            let (over, stdout) = (process.over.clone(), Arc::new(File::from(stdio.stdout)));
            tokio::spawn(async move { over.run_until_cancelled(accept(listener, stdout)).await });
            let cold_start = ColdStart { function: Duration::from_millis(1), ..ColdStart::default() };
            Ok(Launched { process: Arc::new(process), cold_start })
        })
    }
}

impl Process for FakeProcess {
    fn connect(&self) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(("127.0.0.1", self.port)))
    }

    fn ended(&self) -> BoxFuture<'_, ExitStatus> {
        Box::pin(async {
            self.over.cancelled().await;
            ExitStatus { code: None, signal: Some(9), out_of_memory: false }
        })
    }

    fn kill(&self) {
        self.over.cancel();
    }

    fn address(&self) -> Option<IpAddr> {
        Some(ADDRESS)
    }

    fn memory_peak_bytes(&self) -> u64 {
        2 << 20
    }
}

async fn accept(listener: TcpListener, stdout: Arc<File>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let stdout = stdout.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(request, &stdout));
            // The platform drops the connections of instances that it stops.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

/// `{"fail": text}` fails in the code, `{"hang": true}` never ends, any other event is echoed.
async fn answer(request: Request<Incoming>, mut stdout: &File) -> Result<Response<Full<Bytes>>, Infallible> {
    let version = request.headers()["x-scf-version"].to_str().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let event: Value = serde_json::from_slice(&body).unwrap();
    writeln!(stdout, "got {} bytes", body.len()).unwrap();
    if event.get("hang").is_some() {
        std::future::pending::<()>().await;
    }
    let mut response = match event.get("fail").and_then(Value::as_str) {
        Some(text) => Response::new(Full::from(text.to_owned())),
        None => Response::new(Full::from(json!({ "event": event, "version": version }).to_string())),
    };
    if event.get("fail").is_some() {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    Ok(response)
}
