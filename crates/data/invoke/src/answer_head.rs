//! How much of an instance's answer comes before its body: the bounds of its head and of the interim answers before it, and
//! what a caller hears when they are passed or when it is no HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use http::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioExecutor;

use crate::config::Config;
use crate::exchange::{Broken, chain};
use crate::failure::Failure;
use crate::framing::Misframed;
use crate::headers;
use crate::socket::Socket;

/// Bytes of a header line beside name and value.
const LINE_BYTES: usize = ": \r\n".len();
/// Bytes of a status line with a long phrase.
const STATUS_LINE_BYTES: usize = 1024;
/// What the library holds of a connection at least, in bytes.
const BUFFER_BYTES_MIN: usize = 408 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("more interim answers came than are taken")]
    Interim,
    #[error("the end of the answer cannot be known: {0}")]
    Misframed(#[from] Misframed),
}

impl AnswerError {
    /// Whether the instance has answered, with what cannot be used: to ask again would have it run twice.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Http(error) => error.is_parse(),
            Self::Interim | Self::Misframed(_) => true,
        }
    }

    /// What it means for the run.
    pub fn broken(&self, config: &Config) -> Broken {
        let failure = match self {
            Self::Http(error) if error.is_parse_too_large() => {
                Failure::response_head_too_large(config.web_response_headers_max, config.web_response_headers_bytes_max)
            }
            Self::Http(error) if error.is_parse() => Failure::no_http(&chain(error)),
            Self::Http(error) => return Broken::Lost(chain(error)),
            Self::Interim => Failure::interim(config.interim_responses_max, config.interim_responses_bytes_max),
            Self::Misframed(misframed) => Failure::no_http(&misframed.to_string()),
        };
        Broken::Refused(Box::new(failure))
    }
}

/// Bytes of a head with as many and as long headers as may be.
fn head_bytes_max(config: &Config) -> usize {
    let lines = config.web_response_headers_max.saturating_mul(LINE_BYTES);
    config.web_response_headers_bytes_max.saturating_add(lines).saturating_add(STATUS_LINE_BYTES)
}

/// Connections of HTTP/1.1 to instances.
pub(crate) fn http1(config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    let bytes_max = head_bytes_max(config);
    // A proxy takes the blank before a colon away (RFC 9112, 5.1).
    builder.allow_spaces_after_header_name_in_responses(true);
    builder.max_headers(config.web_response_headers_max).max_header_size(bytes_max);
    if bytes_max > BUFFER_BYTES_MIN {
        builder.max_buf_size(bytes_max);
    }
    builder
}

/// Connections of HTTP/2 to instances.
pub(crate) fn http2(config: &Config) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // Each header counts 32 bytes more than it has (RFC 9113, 6.5.2).
    let bytes_max =
        config.web_response_headers_bytes_max.saturating_add(config.web_response_headers_max.saturating_mul(32));
    builder.max_header_list_size(u32::try_from(bytes_max).unwrap_or(u32::MAX));
    builder
}

/// The interim answers before an answer. None is passed on: the library that answers callers has no way to send one but its
/// own `100 Continue`.
#[derive(Debug)]
pub(crate) struct Interim {
    count: AtomicU32,
    bytes: AtomicUsize,
    count_max: u32,
    bytes_max: usize,
}

impl Interim {
    /// Counts those of the answer to a request that is sent next over `socket`, of which no more is read when there were too
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

    /// Whether there were more than may be.
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

    use super::*;

    #[tokio::test]
    async fn a_flood_of_interim_answers_is_read_no_further() {
        const ONE: &str = "HTTP/1.1 103 Early\r\n\r\n";
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut far = far.expect("accepted").0;
        far.write_all(ONE.repeat(3_000).as_bytes()).await.expect("the kernel holds as much");
        let (socket, config) = (Socket::new(near.expect("connected")), Config::default());
        let (mut sender, driven) = http1(&config).handshake(socket.clone()).await.expect("a connection");
        let mut request = Request::new(Empty::<Bytes>::new());
        let interim = Interim::watch(&mut request, &config, &socket);
        let (answer, _) = tokio::join!(sender.send_request(request), driven);
        assert!(answer.is_err() && interim.is_over());
        let count = usize::try_from(interim.count.load(Ordering::Relaxed)).expect("few");
        assert!(count * ONE.len() <= 16 * 1024, "{count} were read");
    }
}
