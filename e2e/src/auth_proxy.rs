//! An authenticating proxy before a registry: accepts one user and password at a time until they
//! are revoked, possibly in the middle of a response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, WWW_AUTHENTICATE};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

/// The running proxy; stopped on drop.
pub struct AuthProxy {
    /// `host:port` for pulls through the proxy.
    pub address: String,
    shared: Arc<ProxyInner>,
    server: JoinHandle<()>,
}

/// Sets the accepted user, for fakes that issue passwords.
#[derive(Clone)]
pub struct AcceptedUser(Arc<ProxyInner>);

struct ProxyInner {
    upstream: String,
    http: reqwest::Client,
    state: Mutex<ProxyState>,
}

#[derive(Default)]
struct ProxyState {
    allowed: Option<(String, Instant)>,
    /// The next blob's response is aborted after this many bytes, and the user revoked.
    break_after: Option<usize>,
    passed: usize,
    refused: usize,
    breaks: usize,
}

impl AcceptedUser {
    /// Accepts only this user from now on, for the duration `life`.
    pub fn allow(&self, user: &str, password: &str, life: Duration) {
        self.0.state.lock().allowed = Some((reqwest_basic(user, password), Instant::now() + life));
    }
}

impl Drop for AuthProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl AuthProxy {
    /// Starts a proxy before a registry (`host:port`) that accepts no user yet.
    pub async fn start(upstream: &str) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let address = listener.local_addr()?.to_string();
        // Installed once per process; another test may have done it already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().no_proxy().build()?;
        let shared = Arc::new(ProxyInner { upstream: upstream.to_owned(), http, state: Mutex::default() });
        let app = Router::new().fallback(pass).with_state(shared.clone());
        let server = tokio::spawn(async move {
            // Aborted on drop.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, server })
    }

    /// The handle that sets the accepted user.
    pub fn accepted_user(&self) -> AcceptedUser {
        AcceptedUser(self.shared.clone())
    }

    /// The reference of an image of the registry through the proxy.
    pub fn image(&self, reference: &str) -> String {
        reference.replace(&self.shared.upstream, &self.address)
    }

    /// Revokes the accepted user.
    pub fn revoke(&self) {
        self.shared.state.lock().allowed = None;
    }

    /// Aborts the next blob's response after this many bytes, then revokes the user.
    pub fn revoke_midway(&self, bytes: usize) {
        self.shared.state.lock().break_after = Some(bytes);
    }

    /// Numbers of accepted and rejected requests so far.
    pub fn counts(&self) -> (usize, usize) {
        let book = self.shared.state.lock();
        (book.passed, book.refused)
    }

    /// Number of aborted responses so far.
    pub fn breaks(&self) -> usize {
        self.shared.state.lock().breaks
    }
}

fn reqwest_basic(user: &str, password: &str) -> String {
    let request = reqwest::Client::new().get("http://127.0.0.1/").basic_auth(user, Some(password)).build();
    let header = request.ok().and_then(|request| request.headers().get(AUTHORIZATION).cloned());
    header.and_then(|header| header.to_str().ok().map(str::to_owned)).unwrap_or_default()
}

async fn pass(State(shared): State<Arc<ProxyInner>>, request: Request) -> Response {
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if !shared.lets_in(shown.as_deref()) {
        let refusal = Response::builder().status(401).header(WWW_AUTHENTICATE, "Basic realm=\"proxy\"");
        return refusal.body(Body::empty()).expect("the header is valid");
    }
    let is_blob = request.uri().path().contains("/blobs/");
    let (parts, _) = request.into_parts();
    let url = format!("http://{}{}", shared.upstream, parts.uri);
    let mut headers = parts.headers;
    headers.remove(HOST);
    headers.remove(AUTHORIZATION);
    let Ok(answer) = shared.http.request(parts.method, url).headers(headers).send().await else {
        return Response::builder().status(502).body(Body::empty()).expect("the status is valid");
    };
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    let length = answer.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let break_after = shared.break_after(is_blob, length.unwrap_or(0));
    let body = match break_after {
        None => Body::from_stream(answer.bytes_stream()),
        Some(bytes) => broken(shared, answer, bytes).await,
    };
    response.body(body).expect("the headers were valid")
}

impl ProxyInner {
    fn lets_in(&self, shown: Option<&str>) -> bool {
        let mut book = self.state.lock();
        let allowed = book.allowed.as_ref().filter(|(_, until)| Instant::now() < *until);
        let lets_in = shown.is_some() && allowed.map(|(header, _)| header.as_str()) == shown;
        if lets_in {
            book.passed += 1;
        } else {
            book.refused += 1;
        }
        lets_in
    }

    /// Returns where to abort a response; configs are too short to be aborted.
    fn break_after(&self, is_blob: bool, length: usize) -> Option<usize> {
        let mut book = self.state.lock();
        let bytes = book.break_after.filter(|bytes| is_blob && length > 2 * *bytes)?;
        book.break_after = None;
        Some(bytes)
    }
}

/// The beginning of a response, followed by an abort.
async fn broken(shared: Arc<ProxyInner>, answer: reqwest::Response, bytes: usize) -> Body {
    let whole = answer.bytes().await.unwrap_or_default();
    let begin: std::io::Result<Bytes> = Ok(whole.slice(..bytes.min(whole.len())));
    let end = stream::once(async move {
        // Lets the server flush the data already yielded.
        tokio::task::yield_now().await;
        let mut book = shared.state.lock();
        (book.allowed, book.breaks) = (None, book.breaks + 1);
        Err(std::io::Error::other("the connection breaks, as the test wants"))
    });
    Body::from_stream(stream::iter([begin]).chain(end))
}
