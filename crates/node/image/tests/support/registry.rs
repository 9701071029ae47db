//! A registry on a free loopback port: serves images, records requests, and injects faults.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::stream;

use super::{MANIFEST, TestImage, digest};

/// A fault in the response to one request.
#[derive(Clone)]
pub enum Fault {
    /// This status, with this `Retry-After`.
    Status(u16, Option<&'static str>),
    /// The connection breaks after this number of bytes of the body.
    Cut(usize),
    /// These bytes, under the requested name.
    Bytes(Bytes),
    /// The right bytes from the start, ignoring the requested range.
    IgnoreRange,
    /// Headers, then nothing.
    Stall,
    /// The right bytes, this many in each tenth of a second.
    Slow(usize),
    /// A redirect to this URL.
    Redirect(String),
}

/// Required authentication for pulls.
#[derive(Clone, Copy, PartialEq)]
pub enum Access {
    Anyone,
    /// User and password with each request.
    Basic(&'static str, &'static str),
    /// A token, which is issued to this user and password, or to anyone.
    Token(Option<(&'static str, &'static str)>),
}

struct Shelf {
    access: Access,
    realm: String,
    manifests: HashMap<String, (String, Bytes)>,
    blobs: HashMap<String, Bytes>,
    faults: HashMap<String, VecDeque<Fault>>,
    requests: Vec<String>,
}

pub struct Registry {
    shelf: Arc<Mutex<Shelf>>,
    pub address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

const TOKEN: &str = "the-token";

impl Registry {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1").await
    }

    /// At another address of this machine.
    pub async fn start_at(address: &str) -> Self {
        let listener = tokio::net::TcpListener::bind((address, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shelf = Arc::new(Mutex::new(Shelf {
            access: Access::Anyone,
            realm: format!("http://{address}/token"),
            manifests: HashMap::new(),
            blobs: HashMap::new(),
            faults: HashMap::new(),
            requests: Vec::new(),
        }));
        let app = axum::Router::new().fallback(answer).with_state(shelf.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("serves until aborted") });
        Self { shelf, address, server }
    }

    pub fn guard(&self, access: Access) {
        self.shelf.lock().expect("nobody panics").access = access;
    }

    /// Uses the token server of another host.
    pub fn send_for_tokens_to(&self, realm: String) {
        self.shelf.lock().expect("nobody panics").realm = realm;
    }

    /// Serves an image under a tag, and returns its reference.
    pub fn serve(&self, tag: &str, image: &TestImage) -> String {
        for blob in image.blobs() {
            self.blob(&blob);
        }
        self.manifest(digest(&image.manifest_bytes()).as_str(), MANIFEST, image.manifest_bytes());
        self.manifest(tag, MANIFEST, image.manifest_bytes())
    }

    pub fn blob(&self, blob: &Bytes) {
        self.shelf.lock().expect("nobody panics").blobs.insert(digest(blob).to_string(), blob.clone());
    }

    pub fn manifest(&self, reference: &str, media_type: &str, bytes: Bytes) -> String {
        let mut shelf = self.shelf.lock().expect("nobody panics");
        shelf.manifests.insert(reference.to_owned(), (media_type.to_owned(), bytes));
        self.reference(reference)
    }

    pub fn reference(&self, tag: &str) -> String {
        format!("{}/team/app:{tag}", self.address)
    }

    /// Makes requests whose path ends with `end` fail, one after another.
    pub fn fail(&self, end: &str, faults: impl IntoIterator<Item = Fault>) {
        self.shelf.lock().expect("nobody panics").faults.insert(end.to_owned(), faults.into_iter().collect());
    }

    /// The requests since the last call, such as `GET /v2/… bytes=5-`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shelf.lock().expect("nobody panics").requests)
    }
}

async fn answer(State(shelf): State<Arc<Mutex<Shelf>>>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let range = request.headers().get(header::RANGE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let mut shelf = shelf.lock().expect("nobody panics");
    shelf.requests.push(format!("{} {path} {range}", request.method()).trim_end().to_owned());
    if path == "/token" {
        return token(&shelf, request.headers());
    }
    if let Some(refused) = check(&shelf, request.headers()) {
        return refused;
    }
    let fault = shelf.faults.iter_mut().find(|(end, _)| path.ends_with(end.as_str())).and_then(|(_, f)| f.pop_front());
    let name = path.rsplit('/').next().unwrap_or_default();
    let found = if path.contains("/manifests/") {
        shelf.manifests.get(name).cloned()
    } else {
        shelf.blobs.get(name).map(|blob| ("application/octet-stream".to_owned(), blob.clone()))
    };
    let Some((media_type, bytes)) = found else {
        let body = r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no such thing"}]}"#;
        return plain(404, body);
    };
    serve(request.method(), &media_type, &bytes, &range, fault)
}

fn plain(status: u16, body: &'static str) -> Response<Body> {
    let status = StatusCode::from_u16(status).expect("a status");
    Response::builder().status(status).body(Body::from(body)).expect("valid")
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn authorization(headers: &HeaderMap) -> &str {
    headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

fn token(shelf: &Shelf, headers: &HeaderMap) -> Response<Body> {
    let allowed = match shelf.access {
        Access::Token(Some((user, password))) => authorization(headers) == basic(user, password),
        _ => true,
    };
    if allowed {
        plain(200, r#"{"token": "the-token"}"#)
    } else {
        plain(401, r#"{"errors": [{"code": "UNAUTHORIZED"}]}"#)
    }
}

fn check(shelf: &Shelf, headers: &HeaderMap) -> Option<Response<Body>> {
    let (allowed, challenge) = match shelf.access {
        Access::Anyone => return None,
        Access::Basic(user, password) => {
            (authorization(headers) == basic(user, password), r#"Basic realm="here""#.to_owned())
        }
        Access::Token(_) => {
            let realm = &shelf.realm;
            (authorization(headers) == format!("Bearer {TOKEN}"), format!(r#"Bearer realm="{realm}",service="test""#))
        }
    };
    let mut refused = plain(401, r#"{"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]}"#);
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.parse().expect("a header"));
    (!allowed).then_some(refused)
}

fn serve(method: &Method, media_type: &str, bytes: &Bytes, range: &str, fault: Option<Fault>) -> Response<Body> {
    let content_digest = digest(bytes);
    let mut bytes = bytes.clone();
    let mut from =
        range.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-')).and_then(|r| r.parse().ok()).unwrap_or(0);
    let (mut cut, mut slow) = (None, None);
    match fault {
        Some(Fault::Status(status, retry_after)) => {
            let mut response = plain(status, "");
            if let Some(value) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, value.parse().expect("a header"));
            }
            return response;
        }
        Some(Fault::Redirect(to)) => {
            let mut response = plain(307, "");
            response.headers_mut().insert(header::LOCATION, to.parse().expect("a header"));
            return response;
        }
        Some(Fault::Stall) => {
            return Response::new(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()));
        }
        Some(Fault::Bytes(other)) => bytes = other,
        Some(Fault::IgnoreRange) => from = 0,
        Some(Fault::Cut(after)) => cut = Some(after),
        Some(Fault::Slow(bytes)) => slow = Some(bytes),
        None => {}
    }
    let total = bytes.len();
    let rest = bytes.slice(from..);
    let mut response = Response::builder()
        .status(if from > 0 { 206 } else { 200 })
        .header(header::CONTENT_TYPE, media_type)
        .header(header::CONTENT_LENGTH, rest.len())
        .header("docker-content-digest", content_digest.as_str());
    if from > 0 {
        response = response.header(header::CONTENT_RANGE, format!("bytes {from}-{}/{total}", total - 1));
    }
    let body = match (method, cut) {
        (&Method::HEAD, _) => Body::empty(),
        (_, Some(after)) => {
            let broken = std::io::Error::other("cut");
            // The pause lets the first part be sent before the connection closes.
            let parts = stream::iter([Ok(rest.slice(..after.min(rest.len()))), Err(broken)]);
            Body::from_stream(futures_util::StreamExt::then(parts, |part| async {
                tokio::task::yield_now().await;
                part
            }))
        }
        _ => match slow {
            Some(bytes) => Body::from_stream(slowly(rest, bytes)),
            None => Body::from(rest),
        },
    };
    response.body(body).expect("valid")
}

fn slowly(rest: Bytes, bytes: usize) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    stream::unfold(rest, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let next = rest.split_to(bytes.min(rest.len()));
        Some((Ok(next), rest))
    })
}
