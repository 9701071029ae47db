//! Limits of the number and size of interim responses (1xx) before a response to an upgrade
//! request. Those to other requests are counted by `response_head`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use http::Request;

use super::socket::Socket;
use crate::config::Config;
use crate::headers;

/// The interim responses to one request. None is forwarded: hyper's server can send no interim
/// response except its own `100 Continue`.
#[derive(Debug)]
pub(crate) struct InterimResponses {
    count: AtomicU32,
    bytes: AtomicUsize,
    count_max: u32,
    bytes_max: usize,
}

impl InterimResponses {
    /// Counts those to the next request over `socket`, which is no longer read when there were too
    /// many.
    pub fn watch<B>(request: &mut Request<B>, config: &Config, socket: &Socket) -> Arc<Self> {
        let counted = Arc::new(Self {
            count: AtomicU32::new(0),
            bytes: AtomicUsize::new(0),
            count_max: config.interim_responses_max,
            bytes_max: config.interim_responses_bytes_max,
        });
        let (counting, socket) = (Arc::clone(&counted), socket.clone());
        hyper::ext::on_informational(request, move |interim| {
            counting.count.fetch_add(1, Ordering::Relaxed);
            counting.bytes.fetch_add(headers::bytes(interim.headers()), Ordering::Relaxed);
            if counting.is_over() {
                socket.stop_reading();
            }
        });
        counted
    }

    /// Whether there were more than the limit.
    pub fn is_over(&self) -> bool {
        self.count.load(Ordering::Relaxed) > self.count_max || self.bytes.load(Ordering::Relaxed) > self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Empty;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::client::http1;
    use super::*;

    #[tokio::test]
    async fn a_flood_of_interim_responses_is_read_no_further() {
        const ONE: &str = "HTTP/1.1 103 Early\r\n\r\n";
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut far = far.expect("accepted").0;
        far.write_all(ONE.repeat(3_000).as_bytes()).await.expect("the kernel holds as much");
        let (socket, config) = (Socket::new(near.expect("connected"), &Config::default()), Config::default());
        let (mut sender, driven) = http1(&config).handshake(socket.clone()).await.expect("a connection");
        let mut request = Request::new(Empty::<Bytes>::new());
        let interim = InterimResponses::watch(&mut request, &config, &socket);
        let (response, _) = tokio::join!(sender.send_request(request), driven);
        assert!(response.is_err() && interim.is_over());
        let count = usize::try_from(interim.count.load(Ordering::Relaxed)).expect("few");
        assert!(count * ONE.len() <= 16 * 1024, "{count} were read");
    }
}
