//! The one HTTP/2 connection to an instance, without TLS, that its gRPC calls share.

use std::time::Duration;

use hyper::client::conn::http2::SendRequest;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::request_body::RequestBody;

/// The connection, once one was opened.
#[derive(Default)]
pub(crate) struct H2Connection(Mutex<Option<Open>>);

struct Open {
    sender: SendRequest<RequestBody>,
    /// When the last request was sent over it.
    used: Instant,
    /// The instance's suspensions when it was opened.
    suspensions: u64,
}

impl H2Connection {
    /// The connection, unless its server may have closed it. Requests over one that is dropped here
    /// continue to their ends.
    pub fn get(&self, suspensions: u64, unused_max: Duration) -> Option<SendRequest<RequestBody>> {
        let (mut shared, now) = (self.0.lock(), Instant::now());
        let stale = shared.take_if(|open| {
            let young = now.saturating_duration_since(open.used) < unused_max;
            !young || open.suspensions != suspensions || open.sender.is_closed()
        });
        drop(stale);
        let open = shared.as_mut()?;
        open.used = now;
        Some(open.sender.clone())
    }

    /// Replaces the connection.
    pub fn set(&self, sender: SendRequest<RequestBody>, suspensions: u64) {
        *self.0.lock() = Some(Open { sender, used: Instant::now(), suspensions });
    }
}
