//! The server of every instance.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Longest wait for an expected condition.
const WAIT_MAX: Duration = Duration::from_secs(20);

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A running server.
#[derive(Clone)]
pub struct FunctionServer {
    /// Its address.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Requests that were begun and are neither answered nor aborted.
    open: AtomicUsize,
    changed: Notify,
    release: Notify,
}

/// A request in flight.
struct Open(Arc<State>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl FunctionServer {
    /// Starts one on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = shared.clone();
                let service = service_fn(move |request| {
                    let state = state.clone();
                    async move { Ok::<_, Infallible>(answer(state, request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { address, state }
    }

    /// Waits until `count` requests to `/hold` or `/endless` are in flight.
    pub async fn until_open(&self, count: usize) {
        let reached = async {
            loop {
                let changed = self.state.changed.notified();
                if self.state.open.load(Ordering::SeqCst) == count {
                    return;
                }
                changed.await;
            }
        };
        let open = || self.state.open.load(Ordering::SeqCst);
        tokio::time::timeout(WAIT_MAX, reached).await.unwrap_or_else(|_| panic!("{} under way, not {count}", open()));
    }

    /// Lets one request to `/hold` continue.
    pub fn release(&self) {
        self.state.release.notify_one();
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Answer {
    match request.uri().path() {
        "/event-invoke" => event(request).await,
        "/echo" => echo(request),
        "/hold" => {
            let open = opened(&state);
            state.release.notified().await;
            drop(open);
            text("released")
        }
        "/length" => {
            let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            text(&body.len().to_string())
        }
        "/endless" => endless(opened(&state)),
        "/status" => {
            let mut answer = text("as you wish");
            let wanted = request.uri().query().and_then(|query| query.parse().ok());
            *answer.status_mut() = wanted.unwrap_or(StatusCode::OK);
            answer
        }
        _ => seen(request).await,
    }
}

fn opened(state: &Arc<State>) -> Open {
    state.open.fetch_add(1, Ordering::SeqCst);
    state.changed.notify_waiters();
    Open(state.clone())
}

/// Everything that the function received of a request, as JSON.
async fn seen(request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let headers: Vec<_> =
        parts.headers.iter().map(|(n, v)| json!([n.as_str(), String::from_utf8_lossy(v.as_bytes())])).collect();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let seen = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    text(&seen.to_string())
}

/// An event whose `path` is `/return` gets its own `body` back as return value, `/fail` fails,
/// others come back whole.
async fn event(request: Request<Incoming>) -> Answer {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    match event["path"].as_str() {
        Some("/return") => text(event["body"].as_str().unwrap_or_default()),
        Some("/fail") => {
            let mut answer = text("the code is wrong");
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
        _ => text(&String::from_utf8_lossy(&body)),
    }
}

/// The streamed body, followed by a trailer.
fn echo(request: Request<Incoming>) -> Answer {
    let (sender, body) = Channel::new(1);
    tokio::spawn(copy(request.into_body(), sender));
    let mut answer = Response::new(body.boxed());
    answer.headers_mut().insert("trailer", HeaderValue::from_static("x-echo-bytes"));
    answer
}

async fn copy(mut body: Incoming, mut sender: Sender<Bytes>) {
    let mut total = 0_usize;
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            total += data.len();
            if sender.send_data(data).await.is_err() {
                return;
            }
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-echo-bytes", HeaderValue::from(total));
    // A reader that is gone needs no trailer.
    let _ = sender.send(Frame::trailers(trailers)).await;
}

/// Bytes until the reader stops.
fn endless(open: Open) -> Answer {
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        let _open = open;
        while sender.send_data(Bytes::from_static(&[b'x'; 64 * 1024])).await.is_ok() {}
    });
    Response::new(body.boxed())
}

fn text(body: &str) -> Answer {
    Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())).boxed())
}
