//! A registry over real HTTP that does what registries and the networks before them do on bad days, as a test scripts
//! it, and counts what it was asked and what it sent. Must not know who asks.
//!
//! Serves pulls of the OCI distribution specification; what a blob is called need not be what it is.

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

/// What is asked for.
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

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What is asked for.
    pub target: Target,
    /// `HEAD` wants the headers only.
    pub head: bool,
    /// How often the same was asked for before.
    pub nth: usize,
    /// First byte that is wanted; `None` without a range.
    pub offset: Option<u64>,
    /// The bearer token that came with it.
    pub token: Option<String>,
    /// When it came.
    pub at: Instant,
}

impl Ask {
    /// Whether the content of a blob is asked for.
    pub fn is_blob(&self) -> bool {
        matches!(self.target, Target::Blob(_)) && !self.head
    }

    /// Whether the meaning of a tag is asked for, with or without the manifest itself.
    pub fn is_tag(&self) -> bool {
        matches!(&self.target, Target::Manifest(reference) if !reference.starts_with("sha256:"))
    }

    /// Whether the content of this blob is asked for.
    pub fn is_of(&self, digest: &str) -> bool {
        self.is_blob() && self.target == Target::Blob(digest.to_owned())
    }
}

/// How a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// As a good registry does.
    Good,
    /// With all of it, whatever range was asked for.
    Whole,
    /// With a status and headers, and no content.
    Status(u16, Vec<(&'static str, String)>),
    /// With 401 and the challenge of the token server.
    Challenge,
    /// With so many bytes; then the connection breaks.
    Break(u64),
    /// With so many bytes; then the connection stays open and silent until the registry is told to go on.
    Hold(u64),
    /// With so many bytes per second.
    Slow(u64),
}

type Script = Arc<dyn Fn(&Ask) -> Reply + Send + Sync>;

/// What the registry has and knows.
struct Shelf {
    address: SocketAddr,
    documents: parking_lot::RwLock<HashMap<String, (&'static str, Blob)>>,
    blobs: parking_lot::RwLock<HashMap<String, Blob>>,
    script: parking_lot::RwLock<Script>,
    asked: parking_lot::Mutex<Vec<Ask>>,
    sent: parking_lot::Mutex<HashMap<String, Arc<AtomicU64>>>,
    tokens: AtomicUsize,
    released: watch::Sender<bool>,
}

/// The running registry; it ends with this.
pub struct TestRegistry {
    shelf: Arc<Shelf>,
    server: JoinHandle<()>,
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl TestRegistry {
    /// Starts a good one on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let shelf = Arc::new(Shelf {
            address: listener.local_addr()?,
            documents: parking_lot::RwLock::default(),
            blobs: parking_lot::RwLock::default(),
            script: parking_lot::RwLock::new(Arc::new(|_| Reply::Good)),
            asked: parking_lot::Mutex::default(),
            sent: parking_lot::Mutex::default(),
            tokens: AtomicUsize::new(0),
            released: watch::Sender::new(false),
        });
        let app = Router::new().fallback(answer).with_state(shelf.clone());
        let server = tokio::spawn(async move {
            // It ends with the test, which aborts it.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { shelf, server })
    }

    /// Takes an image in and returns its whole reference.
    pub fn add(&self, name: &str, image: &Image) -> String {
        let mut documents = self.shelf.documents.write();
        for document in &image.documents {
            documents.insert(document.blob.digest.clone(), (document.media_type, document.blob.clone()));
        }
        if let Some(top) = image.documents.first() {
            documents.insert(format!("{name}:v1"), (top.media_type, top.blob.clone()));
        }
        self.shelf.blobs.write().extend(image.blobs.iter().cloned());
        format!("{}/{name}:v1", self.address())
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.shelf.address.to_string()
    }

    /// Lets a script say how each request is answered from now on.
    pub fn behave(&self, script: impl Fn(&Ask) -> Reply + Send + Sync + 'static) {
        *self.shelf.script.write() = Arc::new(script);
    }

    /// Answers well from now on, and goes on with what is held.
    pub fn recover(&self) {
        self.behave(|_| Reply::Good);
        self.shelf.released.send_replace(true);
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Ask> {
        self.shelf.asked.lock().clone()
    }

    /// Requests for the content of a blob so far.
    pub fn asked_for(&self, digest: &str) -> Vec<Ask> {
        self.asked().into_iter().filter(|ask| ask.is_of(digest)).collect()
    }

    /// Bytes of a blob that were sent so far, over all requests.
    pub fn sent(&self, digest: &str) -> u64 {
        self.shelf.sent.lock().get(digest).map_or(0, |sent| sent.load(Ordering::Relaxed))
    }

    /// Waits until so many bytes of a blob were sent.
    pub async fn wait_sent(&self, digest: &str, bytes: u64) -> anyhow::Result<()> {
        let what = format!("{bytes} bytes of {digest} are sent");
        wait::until(&what, || async { Ok((self.sent(digest) >= bytes).then_some(())) }).await
    }
}

async fn answer(State(shelf): State<Arc<Shelf>>, request: Request) -> Response {
    let ask = shelf.note(&request);
    let script = shelf.script.read().clone();
    let reply = script(&ask);
    match reply {
        Reply::Status(status, headers) => delivery::plain(status, &headers),
        Reply::Challenge => shelf.challenge(),
        reply => match shelf.content(&ask) {
            Some((kind, blob)) => delivery::deliver(&shelf, &ask, kind, &blob, reply),
            None if ask.target == Target::Token => shelf.token(),
            // The version check of clients that make one.
            None if ask.target == Target::Other("/v2/".to_owned()) => delivery::plain(200, &[]),
            None => delivery::plain(404, &[]),
        },
    }
}

impl Shelf {
    fn note(&self, request: &Request) -> Ask {
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
        let mut asked = self.asked.lock();
        let nth = asked.iter().filter(|earlier| earlier.target == target && earlier.head == head).count();
        let ask = Ask { target, head, nth, offset: range, token, at: Instant::now() };
        asked.push(ask.clone());
        ask
    }

    fn content(&self, ask: &Ask) -> Option<(&'static str, Blob)> {
        match &ask.target {
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

    /// `t1`, then `t2`, and so on.
    fn token(&self) -> Response {
        let number = self.tokens.fetch_add(1, Ordering::Relaxed) + 1;
        Response::new(Body::from(json!({"token": format!("t{number}")}).to_string()))
    }
}
