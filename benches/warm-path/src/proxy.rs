//! The baseline: hyper's server and client with one upstream connection per client connection; no
//! routing, no limits, no records.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// Serves on a free port of the loopback.
pub async fn serve(upstream: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let accepting = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // An aborted connection affects its client only.
            tokio::spawn(async move { drop(connection(socket, upstream).await) });
        }
    });
    super::serve_until_stdin_ends(address).await?;
    accepting.abort();
    Ok(())
}

async fn connection(socket: TcpStream, upstream: SocketAddr) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let to = TcpStream::connect(upstream).await?;
    to.set_nodelay(true)?;
    let (sender, driver) = client::handshake::<_, Incoming>(TokioIo::new(to)).await?;
    tokio::spawn(driver);
    let sender = Arc::new(Mutex::new(sender));
    let service = service_fn(move |request: Request<Incoming>| {
        let sender = sender.clone();
        async move { sender.lock().await.send_request(request).await }
    });
    server::Builder::new().serve_connection(TokioIo::new(socket), service).await?;
    Ok(())
}
