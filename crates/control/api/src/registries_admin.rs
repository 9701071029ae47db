//! The registries' administrative endpoint, `POST` [`PATH`]: one [`Command`] in JSON, signed with
//! TC3 like every call of the control address. Answers are [`Answer`], with HTTP 200, or with 400,
//! 401, 404, 408 or 500 for a refusal.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use http::StatusCode;
use http::header::HOST;
use http::request::Parts;
use jiff::Timestamp;
use signature::{Clock, Rejection, Secrets, tc3};
use types::admin::registries::{ACTION, Answer, Command, PATH, Refused, Reply};

/// Executes a command.
pub type Run = Arc<dyn Fn(Command) -> BoxFuture<'static, Result<Reply, Refused>> + Send + Sync>;

/// Settings of the endpoint.
pub struct Endpoint {
    /// Executes the commands.
    pub run: Run,
    /// Key pair of the signatures.
    pub secrets: Secrets,
    /// Largest difference between the clocks of client and server, in seconds.
    pub clock_window_s: u64,
    /// Longest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// Timeout of receiving the body.
    pub body_timeout: Duration,
}

/// Serves [`PATH`].
pub fn router(endpoint: Endpoint) -> Router {
    Router::new().route(PATH, post(serve)).with_state(Arc::new(endpoint))
}

async fn serve(State(endpoint): State<Arc<Endpoint>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (status, answer) = match endpoint.answer(&parts, body).await {
        Ok(reply) => (StatusCode::OK, Answer::Done(reply)),
        Err(refused) => {
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Answer::Refused(refused))
        }
    };
    (status, Json(answer)).into_response()
}

fn refused(status: StatusCode, message: impl Into<String>) -> Refused {
    Refused { status: status.as_u16(), message: message.into() }
}

fn unauthorized(rejection: Rejection) -> Refused {
    refused(StatusCode::UNAUTHORIZED, rejection.to_string())
}

impl Endpoint {
    async fn answer(&self, parts: &Parts, body: Body) -> Result<Reply, Refused> {
        // Bodies are read only if the head names the key pair.
        tc3::check_head(&parts.headers, &self.secrets, self.clock()).map_err(unauthorized)?;
        if parts.headers.get("x-tc-action").is_none_or(|action| action != ACTION) {
            return Err(refused(StatusCode::BAD_REQUEST, format!("the request is not for the action {ACTION}")));
        }
        let bytes_max = self.body_bytes_max;
        let read = tokio::time::timeout(self.body_timeout, to_bytes(body, bytes_max)).await;
        let late = |_| refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
        let too_long = |_| {
            let message = format!("the body broke off, or is longer than {bytes_max} bytes");
            refused(StatusCode::BAD_REQUEST, message)
        };
        let body = read.map_err(late)?.map_err(too_long)?;
        self.verify(parts, &body)?;
        // The parser's message could contain a password.
        let unreadable = |error: serde_json::Error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            refused(StatusCode::BAD_REQUEST, format!("the body is not a command of this version of sampan ({place})"))
        };
        (self.run)(serde_json::from_slice(&body).map_err(unreadable)?).await
    }

    fn verify(&self, parts: &Parts, body: &[u8]) -> Result<(), Refused> {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let received = tc3::Received { method: "POST", host, query: "", headers: &parts.headers, body };
        tc3::verify(&received, &self.secrets, self.clock()).map_err(unauthorized)
    }

    fn clock(&self) -> Clock {
        Clock { now_s: Timestamp::now().as_second(), window_s: self.clock_window_s }
    }
}
