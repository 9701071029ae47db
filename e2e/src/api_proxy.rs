//! A proxy before the control address that stops at the n-th mutating call: either before the
//! platform receives it, or after it was executed and before its response.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Longest body of a call, in bytes.
const CALL_BYTES_MAX: usize = 1024 * 1024;
/// Name prefixes of actions that change nothing.
const READING: [&str; 2] = ["Get", "List"];

/// Point at which a call is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The platform does not receive the call.
    Before,
    /// The platform has executed the call; its client gets no response.
    After,
}

/// The running proxy; stopped on drop.
pub struct ApiProxy {
    /// Its address, as `http://127.0.0.1:port`.
    pub address: String,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

struct Inner {
    upstream: String,
    http: reqwest::Client,
    stop: Mutex<Option<(usize, Moment)>>,
    actions: Mutex<Vec<String>>,
    stopped: Notify,
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl ApiProxy {
    /// Starts a proxy before a control address (`http://host:port`).
    pub async fn start(upstream: &str) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let address = format!("http://{}", listener.local_addr()?);
        // Installed once per process; another test may have done it already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder().no_proxy().build()?;
        let (stop, actions) = (Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { upstream: upstream.to_owned(), http, stop, actions, stopped: Notify::new() });
        let app = Router::new().fallback(pass).with_state(inner.clone());
        let server = tokio::spawn(async move {
            // Aborted on drop.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, inner, server })
    }

    /// Stops at the n-th mutating call from now on; it and all later calls get no response.
    pub fn stop_at(&self, call: usize, moment: Moment) {
        self.inner.actions.lock().clear();
        *self.inner.stop.lock() = Some((call, moment));
    }

    /// Forwards all calls from now on.
    pub fn recover(&self) {
        self.inner.actions.lock().clear();
        *self.inner.stop.lock() = None;
    }

    /// Mutating calls since the last change of the stop point.
    pub fn actions(&self) -> Vec<String> {
        self.inner.actions.lock().clone()
    }

    /// Waits until a call was stopped.
    pub async fn stopped(&self) {
        self.inner.stopped.notified().await;
    }
}

async fn pass(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let action = request.headers().get("x-tc-action").and_then(|action| action.to_str().ok()).unwrap_or_default();
    let moment = inner.moment(action);
    if moment == Some(Moment::Before) {
        inner.hold().await;
    }
    let answer = inner.forward(request).await;
    if moment == Some(Moment::After) {
        inner.hold().await;
    }
    answer.unwrap_or_else(|_| Response::builder().status(502).body(Body::empty()).expect("the status is valid"))
}

impl Inner {
    /// The point at which this call is stopped; `None` when it is forwarded.
    fn moment(&self, action: &str) -> Option<Moment> {
        let (stop, mut actions) = (*self.stop.lock(), self.actions.lock());
        let (call, moment) = stop.unwrap_or((usize::MAX, Moment::Before));
        if actions.len() >= call {
            return Some(Moment::Before);
        }
        if !READING.iter().any(|word| action.starts_with(word)) {
            actions.push(action.to_owned());
        }
        (actions.len() == call).then_some(moment)
    }

    /// Never answers.
    async fn hold(&self) {
        self.stopped.notify_one();
        std::future::pending().await
    }

    async fn forward(&self, request: Request) -> anyhow::Result<Response> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, CALL_BYTES_MAX).await?;
        let url = format!("{}{}", self.upstream, parts.uri);
        // Includes the header Host, which is signed.
        let answer = self.http.request(parts.method, url).headers(parts.headers).body(body).send().await?;
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        Ok(response.body(Body::from(answer.bytes().await?))?)
    }
}
