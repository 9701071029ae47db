//! Connections whose other side must take what it is sent: one that stops reading is closed, so that it cannot hold a
//! file, buffers and a socket for ever. Must not know what is sent.
//!
//! The kernel watches (`TCP_USER_TIMEOUT`, tcp(7)): it alone sees every byte that the other side takes. An answer's body
//! would never learn that nobody reads, since it is asked for more only when the connection took what it had; and a
//! write that waits says little about a slow reader, because a socket takes more only when a good part of megabytes is
//! gone.

use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::TcpStream;

/// Has a connection end when nothing of what waits to be sent is taken for `idle`.
pub(crate) fn limit_writes(stream: &TcpStream, idle: Duration) {
    // Zero would mean no limit at all.
    let idle_ms = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX).max(1);
    let tuned = set_tcp_user_timeout(stream, idle_ms).map_err(Into::into).and_then(|()| stream.set_nodelay(true));
    if let Err(error) = tuned {
        // Only a connection that is gone already refuses these.
        tracing::debug!(%error, "cannot set the limits of a connection");
    }
}
