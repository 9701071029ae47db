//! A scripted registry over real HTTP that reproduces faults of registries and networks, and counts
//! requests and sent bytes.
//!
//! Serves pulls of the OCI distribution specification; a blob's content need not match its digest.

mod delivery;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::{AUTHORIZATION, RANGE, WWW_AUTHENTICATE};
use axum::response::Response;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::blob::Blob;
use crate::oci::Image;
use crate::wait;

/// The resource of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// `/v2/…/manifests/…`, by tag or digest.
    Manifest(String),
    /// `/v2/…/blobs/…`.
    Blob(String),
    /// The token server.
    Token,
    /// Anything else.
    Other(String),
}

/// A received request.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// Its resource.
    pub target: Target,
    /// Whether it is a `HEAD` request.
    pub head: bool,
    /// Number of earlier requests for the same resource.
    pub nth: usize,
    /// First requested byte; `None` without a range.
    pub offset: Option<u64>,
    /// Its bearer token.
    pub token: Option<String>,
    /// Its time.
    pub at: Instant,
}

impl ReceivedRequest {
    /// Whether it requests a blob's content.
    pub fn is_blob(&self) -> bool {
        matches!(self.target, Target::Blob(_)) && !self.head
    }

    /// Whether it resolves a tag, with GET or HEAD.
    pub fn is_tag(&self) -> bool {
        matches!(&self.target, Target::Manifest(reference) if !reference.starts_with("sha256:"))
    }

    /// Whether it requests the content of this blob.
    pub fn is_of(&self, digest: &str) -> bool {
        self.is_blob() && self.target == Target::Blob(digest.to_owned())
    }
}

/// How to answer a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// As the specification requires.
    Good,
    /// With the whole content, ignoring the range.
    Whole,
    /// With a status and headers, without content.
    Status(u16, Vec<(&'static str, String)>),
    /// With 401 and a challenge of the token server.
    Challenge,
    /// With this many bytes, followed by a closed connection.
    Break(u64),
    /// With this many bytes; then the connection stays open without data until
    /// [`TestRegistry::recover`].
    Hold(u64),
    /// At this many bytes per second.
    Slow(u64),
}

type Script = Arc<dyn Fn(&ReceivedRequest) -> Reply + Send + Sync>;

/// Content and script of the registry.
struct RegistryState {
    address: SocketAddr,
    documents: parking_lot::RwLock<HashMap<String, (&'static str, Blob)>>,
    blobs: parking_lot::RwLock<HashMap<String, Blob>>,
    script: parking_lot::RwLock<Script>,
    requests: parking_lot::Mutex<Vec<ReceivedRequest>>,
    sent: parking_lot::Mutex<HashMap<String, Arc<AtomicU64>>>,
    tokens: AtomicUsize,
    released: watch::Sender<bool>,
}

/// The running registry; stopped on drop.
pub struct TestRegistry {
    state: Arc<RegistryState>,
    server: JoinHandle<()>,
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl TestRegistry {
    /// Starts a registry that follows the specification, on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let state = Arc::new(RegistryState {
            address: listener.local_addr()?,
            documents: parking_lot::RwLock::default(),
            blobs: parking_lot::RwLock::default(),
            script: parking_lot::RwLock::new(Arc::new(|_| Reply::Good)),
            requests: parking_lot::Mutex::default(),
            sent: parking_lot::Mutex::default(),
            tokens: AtomicUsize::new(0),
            released: watch::Sender::new(false),
        });
        let app = Router::new().fallback(answer).with_state(state.clone());
        let server = tokio::spawn(async move {
            // Aborted on drop.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { state, server })
    }

    /// Adds an image and returns its full reference.
    pub fn add(&self, name: &str, image: &Image) -> String {
        let mut documents = self.state.documents.write();
        for document in &image.documents {
            documents.insert(document.blob.digest.clone(), (document.media_type, document.blob.clone()));
        }
        if let Some(top) = image.documents.first() {
            documents.insert(format!("{name}:v1"), (top.media_type, top.blob.clone()));
        }
        self.state.blobs.write().extend(image.blobs.iter().cloned());
        format!("{}/{name}:v1", self.address())
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.state.address.to_string()
    }

    /// Sets a script that chooses the reply to each request.
    pub fn behave(&self, script: impl Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static) {
        *self.state.script.write() = Arc::new(script);
    }

    /// Follows the specification from now on, and continues held responses.
    pub fn recover(&self) {
        self.behave(|_| Reply::Good);
        self.state.released.send_replace(true);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.state.requests.lock().clone()
    }

    /// Requests for the content of a blob so far.
    pub fn requests_for(&self, digest: &str) -> Vec<ReceivedRequest> {
        self.requests().into_iter().filter(|received| received.is_of(digest)).collect()
    }

    /// Bytes of a blob that were sent so far, over all requests.
    pub fn sent(&self, digest: &str) -> u64 {
        self.state.sent.lock().get(digest).map_or(0, |sent| sent.load(Ordering::Relaxed))
    }

    /// Waits until this many bytes of a blob were sent.
    pub async fn wait_sent(&self, digest: &str, bytes: u64) -> anyhow::Result<()> {
        let what = format!("{bytes} bytes of {digest} are sent");
        wait::until(&what, || async { Ok((self.sent(digest) >= bytes).then_some(())) }).await
    }
}

async fn answer(State(state): State<Arc<RegistryState>>, request: Request) -> Response {
    let received = state.note(&request);
    let script = state.script.read().clone();
    let reply = script(&received);
    match reply {
        Reply::Status(status, headers) => delivery::plain(status, &headers),
        Reply::Challenge => state.challenge(),
        reply => match state.content(&received) {
            Some((kind, blob)) => delivery::deliver(&state, &received, kind, &blob, reply),
            None if received.target == Target::Token => state.token(),
            // The version check of some clients.
            None if received.target == Target::Other("/v2/".to_owned()) => delivery::plain(200, &[]),
            None => delivery::plain(404, &[]),
        },
    }
}

impl RegistryState {
    fn note(&self, request: &Request) -> ReceivedRequest {
        let path = request.uri().path();
        let target = match (path.split_once("/manifests/"), path.split_once("/blobs/")) {
            (Some((name, reference)), _) => Target::Manifest(if reference.starts_with("sha256:") {
                reference.to_owned()
            } else {
                format!("{}:{reference}", name.trim_start_matches("/v2/"))
            }),
            (None, Some((_, digest))) => Target::Blob(digest.to_owned()),
            _ if path == "/token" => Target::Token,
            _ => Target::Other(path.to_owned()),
        };
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let range = header(RANGE).and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
        let token = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        let head = request.method() == Method::HEAD;
        let mut requests = self.requests.lock();
        let nth = requests.iter().filter(|earlier| earlier.target == target && earlier.head == head).count();
        let received = ReceivedRequest { target, head, nth, offset: range, token, at: Instant::now() };
        requests.push(received.clone());
        received
    }

    fn content(&self, received: &ReceivedRequest) -> Option<(&'static str, Blob)> {
        match &received.target {
            Target::Manifest(reference) => self.documents.read().get(reference).cloned(),
            Target::Blob(digest) => {
                self.blobs.read().get(digest).map(|blob| ("application/octet-stream", blob.clone()))
            }
            Target::Token | Target::Other(_) => None,
        }
    }

    fn challenge(&self) -> Response {
        let realm = format!("Bearer realm=\"http://{}/token\",service=\"test\"", self.address);
        delivery::plain(401, &[(WWW_AUTHENTICATE.as_str(), realm)])
    }

    /// Issues the tokens `t1`, `t2`, and so on.
    fn token(&self) -> Response {
        let number = self.tokens.fetch_add(1, Ordering::Relaxed) + 1;
        Response::new(Body::from(json!({"token": format!("t{number}")}).to_string()))
    }
}
