//! A fake of the cloud API of enterprise registries that issues temporary credentials over real
//! HTTP and verifies signatures with the real verifier.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::response::Response;
use axum::routing::post;
use serde_json::{Value, json};
use signature::authorization::Authorization;
use signature::{Clock, Secrets, tc3};
use tokio::task::JoinHandle;

use crate::auth_proxy::AcceptedUser;

/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// The running API; stopped on drop.
pub struct FakeTcr {
    /// `http://host:port`.
    pub endpoint: String,
    shared: Arc<TcrState>,
    server: JoinHandle<()>,
}

struct TcrState {
    secrets: Secrets,
    registry_id: String,
    region: String,
    accepted_user: AcceptedUser,
    life: Duration,
    issued: AtomicUsize,
}

impl Drop for FakeTcr {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeTcr {
    /// Starts a server with a single registry in a single region, whose credentials the auth proxy
    /// accepts for the given time.
    pub async fn start(
        secrets: Secrets,
        registry_id: &str,
        region: &str,
        accepted_user: AcceptedUser,
        life: Duration,
    ) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (registry_id, region, issued) = (registry_id.to_owned(), region.to_owned(), AtomicUsize::new(0));
        let shared = Arc::new(TcrState { secrets, registry_id, region, accepted_user, life, issued });
        let app = Router::new().route("/", post(answer)).with_state(shared.clone());
        let server = tokio::spawn(async move {
            // Aborted on drop.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { endpoint, shared, server })
    }

    /// Number of issued credentials.
    pub fn issued(&self) -> usize {
        self.shared.issued.load(Ordering::Relaxed)
    }

    /// The `number`-th issued password, counted from one.
    pub fn password(number: usize) -> String {
        format!("temporary-credential-{number}")
    }
}

async fn answer(State(shared): State<Arc<TcrState>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, REQUEST_BYTES_MAX).await.unwrap_or_default();
    let mut response = match shared.check(&parts.headers, &body) {
        Ok(()) => shared.issue(),
        Err((code, message)) => json!({"Error": {"Code": code, "Message": message}}),
    };
    response["RequestId"] = json!("request-of-the-test");
    Response::new(Body::from(json!({"Response": response}).to_string()))
}

impl TcrState {
    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), (&'static str, String)> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let received = tc3::Received { method: "POST", host: header(HOST.as_str()), query: "", headers, body };
        let clock = Clock { now_s: jiff::Timestamp::now().as_second(), window_s: 300 };
        let malformed = |error: signature::Rejection| ("AuthFailure.SignatureFailure", error.to_string());
        tc3::verify(&received, &self.secrets, clock).map_err(malformed)?;
        let service = Authorization::parse(header(AUTHORIZATION.as_str())).map_err(malformed)?.service.to_owned();
        let called = (service.as_str(), header("x-tc-action"), header("x-tc-version"), header("x-tc-region"));
        if called != ("tcr", "CreateInstanceToken", "2019-09-24", self.region.as_str()) {
            return Err(("InvalidAction", format!("{called:?}")));
        }
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        if asked != json!({"RegistryId": self.registry_id, "TokenType": "temp"}) {
            return Err(("ResourceNotFound", format!("no such registry: {asked}")));
        }
        Ok(())
    }

    fn issue(&self) -> Value {
        let password = FakeTcr::password(self.issued.fetch_add(1, Ordering::Relaxed) + 1);
        self.accepted_user.allow("100036950234", &password, self.life);
        let life_ms = i64::try_from(self.life.as_millis()).unwrap_or(i64::MAX);
        let exp_time = jiff::Timestamp::now().as_millisecond().saturating_add(life_ms);
        json!({"Username": "100036950234", "Token": password, "ExpTime": exp_time, "TokenId": null})
    }
}
