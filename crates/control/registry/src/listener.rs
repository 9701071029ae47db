//! Closes connections whose client stops reading, so that none holds a file, buffers and a socket
//! for ever.
//!
//! The timeout is the kernel's (`TCP_USER_TIMEOUT`, tcp(7)), which sees every acknowledged byte. A
//! response body cannot see it: it is polled only after the connection has taken the previous
//! chunk, and a blocked write does not identify a slow reader, because a socket becomes writable
//! only after a good part of megabytes was acknowledged.

use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::TcpStream;

/// Closes the connection when no queued byte is acknowledged for `idle`.
pub(crate) fn limit_writes(stream: &TcpStream, idle: Duration) {
    // Zero would mean no limit.
    let idle_ms = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX).max(1);
    let tuned = set_tcp_user_timeout(stream, idle_ms).map_err(Into::into).and_then(|()| stream.set_nodelay(true));
    if let Err(error) = tuned {
        // Fails only on a connection that is already gone.
        tracing::debug!(%error, "cannot set TCP_USER_TIMEOUT");
    }
}
