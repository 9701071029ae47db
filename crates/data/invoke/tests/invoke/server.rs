//! The server inside a fake instance. A request selects its behaviour by its path (web) or its JSON
//! (event).

use std::convert::Infallible;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::channel::Channel;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Ends a connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
pub struct Dropped;

/// The end of the instance.
#[derive(Default)]
pub struct Fate {
    pub over: CancellationToken,
    pub code: Mutex<Option<i32>>,
    pub out_of_memory: Mutex<bool>,
    /// The kernel never finishes ending it.
    pub lingers: AtomicBool,
    /// It catches its stop signal, and continues.
    pub catches_stop: AtomicBool,
    /// Its stop signal arrived.
    pub stopped: CancellationToken,
}

/// The server of one instance.
pub struct Server {
    pub port: u16,
    pub fate: Arc<Fate>,
    pub connections: AtomicUsize,
    pub requests: AtomicUsize,
    /// Attempts to connect that are not answered, as by a server whose accept queue is full.
    pub attempts_lost: AtomicUsize,
    /// How often the instance was frozen.
    pub freezes: AtomicUsize,
    /// Requests whose connection is dropped without an answer.
    pub drops_left: AtomicUsize,
    /// New connections are served on when their client has closed its half.
    pub ignores_disconnects: AtomicBool,
    open: Mutex<Vec<JoinHandle<()>>>,
    stdout: Mutex<std::fs::File>,
}

impl Server {
    pub async fn start(stdout: OwnedFd) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Arc::new(Self {
            port: listener.local_addr().expect("bound").port(),
            fate: Arc::default(),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            attempts_lost: AtomicUsize::new(0),
            freezes: AtomicUsize::new(0),
            drops_left: AtomicUsize::new(0),
            ignores_disconnects: AtomicBool::new(false),
            open: Mutex::default(),
            stdout: Mutex::new(stdout.into()),
        });
        let (accepting, over) = (Arc::clone(&server), server.fate.over.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = accepting.accept(listener) => {}
            }
            accepting.close_connections().await;
        });
        server
    }

    async fn accept(self: &Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.expect("accepts");
            self.connections.fetch_add(1, Ordering::SeqCst);
            let server = Arc::clone(self);
            let task = tokio::spawn(server.serve(stream));
            self.open.lock().push(task);
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut connection = hyper::server::conn::http1::Builder::new();
        connection.half_close(self.ignores_disconnects.load(Ordering::SeqCst));
        let service = service_fn(move |request| Arc::clone(&self).answer(request));
        // A connection that is dropped on purpose ends with an error.
        drop(connection.serve_connection(TokioIo::new(stream), service).await);
    }

    /// Closes every connection, idle or not, as a restart of the server within the instance would.
    pub async fn close_connections(&self) {
        let open = std::mem::take(&mut *self.open.lock());
        for task in open {
            task.abort();
            // The task ends as cancelled, and its connection with it.
            drop(task.await);
        }
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.lock().iter().filter(|task| !task.is_finished()).count()
    }

    pub fn print(&self, text: &str) {
        self.stdout.lock().write_all(text.as_bytes()).expect("the pipe is read");
    }

    fn exit(&self, code: i32, out_of_memory: bool) {
        *self.fate.code.lock() = Some(code);
        *self.fate.out_of_memory.lock() = out_of_memory;
        self.fate.over.cancel();
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if self.drops_left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Dropped);
        }
        if request.uri().path() == "/event-invoke" { self.event(request).await } else { self.web(request).await }
    }

    async fn event(&self, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        let headers = shown(request.headers());
        let method = request.method().to_string();
        let event = request.into_body().collect().await.map_err(|_| Dropped)?.to_bytes();
        let event: Value = serde_json::from_slice(&event).expect("events are JSON");
        if let Some(text) = event["print"].as_str() {
            self.print(text);
        }
        match event["do"].as_str().unwrap_or("echo") {
            "headers" => Ok(text(StatusCode::OK, json!({ "method": method, "headers": headers }).to_string())),
            "status" => {
                let code = u16::try_from(event["code"].as_u64().expect("a code")).expect("a status");
                let text_of = event["text"].as_str().unwrap_or("").to_owned();
                let mut response = text(StatusCode::from_u16(code).expect("a status"), text_of);
                if let Some(pause) = event["retry_after"].as_str() {
                    response.headers_mut().insert("retry-after", pause.parse().expect("a header"));
                }
                Ok(response)
            }
            "big" => Ok(text(StatusCode::OK, "x".repeat(event["bytes"].as_u64().expect("a size") as usize))),
            "chunks" => Ok(Response::new(chunks(5, Duration::ZERO, None))),
            "hang" => self.hang().await,
            "until stopped" => {
                self.fate.stopped.cancelled().await;
                Ok(text(StatusCode::OK, "late".to_owned()))
            }
            "exit" => self.end(3, false).await,
            "oom" => self.end(137, true).await,
            _ => Ok(text(StatusCode::OK, event.to_string())),
        }
    }

    async fn web(&self, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/echo" => {
                let trailer = request.headers().get("trailer").cloned();
                let body = request.into_body().map_err(|_| unreachable!("tests send whole bodies")).boxed_unsync();
                let mut response = Response::new(body);
                if let Some(trailer) = trailer {
                    response.headers_mut().insert("trailer", trailer);
                }
                Ok(response)
            }
            "/keep-alive" => {
                let timeout = format!("timeout={}, max=100", request.uri().query().unwrap_or_default());
                let mut response = text(StatusCode::OK, "kept".to_owned());
                response.headers_mut().insert("keep-alive", timeout.parse().expect("a value"));
                Ok(response)
            }
            "/count" => {
                let bytes = request.into_body().collect().await.map_err(|_| Dropped)?.to_bytes();
                Ok(text(StatusCode::OK, bytes.len().to_string()))
            }
            "/headers" => {
                let seen = json!({
                    "method": request.method().as_str(),
                    "uri": request.uri().to_string(),
                    "headers": shown(request.headers()),
                });
                Ok(text(StatusCode::OK, seen.to_string()))
            }
            "/trailers" => {
                let mut response = Response::new(chunks(2, Duration::ZERO, Some(("x-sum", "42"))));
                response.headers_mut().insert("trailer", "x-sum".parse().expect("valid"));
                Ok(response)
            }
            "/slow-chunks" => Ok(Response::new(chunks(3, Duration::from_millis(200), None))),
            "/endless" => Ok(Response::new(chunks(usize::MAX, Duration::from_millis(1), None))),
            "/big-headers" => {
                let mut response = text(StatusCode::OK, String::new());
                response.headers_mut().insert("x-big", "x".repeat(5000).parse().expect("valid"));
                Ok(response)
            }
            "/no-content" => Ok(text(StatusCode::NO_CONTENT, String::new())),
            "/not-modified" => {
                let mut response = text(StatusCode::NOT_MODIFIED, String::new());
                response.headers_mut().insert("etag", "\"1\"".parse().expect("valid"));
                Ok(response)
            }
            "/forge" => {
                let mut response = text(StatusCode::IM_A_TEAPOT, "short and stout".to_owned());
                response.headers_mut().insert("x-scf-status", "433".parse().expect("valid"));
                response.headers_mut().insert("x-scf-request-id", "forged".parse().expect("valid"));
                response.headers_mut().insert("x-own", "1".parse().expect("valid"));
                Ok(response)
            }
            "/early" => Ok(text(StatusCode::PAYLOAD_TOO_LARGE, "enough".to_owned())),
            "/cut" => {
                let fate = Arc::clone(&self.fate);
                let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
                tokio::spawn(async move {
                    drop(sender.send_data(Bytes::from_static(b"begun")).await);
                    fate.over.cancel();
                });
                let mut response = Response::new(body.boxed_unsync());
                response.headers_mut().insert("content-length", 1000.into());
                Ok(response)
            }
            "/hang" => self.hang().await,
            "/until-stopped" => {
                self.fate.stopped.cancelled().await;
                Ok(text(StatusCode::OK, "late".to_owned()))
            }
            "/exit" => self.end(1, false).await,
            _ => Ok(text(StatusCode::OK, "hello".to_owned())),
        }
    }

    async fn hang(&self) -> Result<Response<Body>, Dropped> {
        std::future::pending().await
    }

    async fn end(&self, code: i32, out_of_memory: bool) -> Result<Response<Body>, Dropped> {
        self.exit(code, out_of_memory);
        std::future::pending().await
    }
}

fn text(status: StatusCode, text: String) -> Response<Body> {
    let body = if text.is_empty() { Empty::new().boxed_unsync() } else { Full::new(Bytes::from(text)).boxed_unsync() };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn chunks(count: usize, pause: Duration, trailer: Option<(&'static str, &'static str)>) -> Body {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    tokio::spawn(async move {
        for n in 0..count {
            if sender.send_data(Bytes::from(format!("chunk {n};"))).await.is_err() {
                return;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        if let Some((name, value)) = trailer {
            let mut trailers = HeaderMap::new();
            trailers.insert(name, value.parse().expect("valid"));
            drop(sender.send(Frame::trailers(trailers)).await);
        }
    });
    body.boxed_unsync()
}

/// Headers as JSON: each name with its values.
fn shown(headers: &HeaderMap) -> Value {
    let mut shown = serde_json::Map::new();
    for name in headers.keys() {
        let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        shown.insert(name.to_string(), json!(values.join(" | ")));
    }
    Value::Object(shown)
}
