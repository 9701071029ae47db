//! New connections to an instance's server.

use std::io;
use std::time::Duration;

use connections::WorkerId;
use pool::Instance;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::Connection;
use super::state::UpstreamState;
use crate::config::Config;

/// A new connection, retried after each `attempt_max` until the caller cancels. A server whose
/// accept queue is full answers no attempt, and the kernel retransmits a SYN only after 1, 3 and 7
/// s.
pub(crate) async fn open_stream(instance: &Instance<UpstreamState>, attempt_max: Duration) -> io::Result<TcpStream> {
    loop {
        if let Ok(connected) = timeout(attempt_max, instance.process.connect()).await {
            let mut stream = connected?;
            if WorkerId::current() != WorkerId::NONE {
                // The connection that detected the server was made in the platform's runtime.
                stream = TcpStream::from_std(stream.into_std()?)?;
            }
            stream.set_nodelay(true)?;
            return Ok(stream);
        }
    }
}

/// A new connection that speaks HTTP/1.1.
pub(super) async fn connect(instance: &Instance<UpstreamState>, config: &Config) -> io::Result<Connection> {
    let mut connection = Connection::over(open_stream(instance, config.connect_max()).await?, config).await?;
    connection.counted = Some(instance.slot.idle().count());
    // A new connection accepts a request only once it was driven.
    connection.is_ready().await;
    Ok(connection)
}
