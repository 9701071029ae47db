//! Reads administration requests: one command in JSON, signed with TC3 like all control calls.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use signature::{Clock, Rejection, Secrets, tc3};

/// HTTP status and reason of an error answer.
pub type Refused = (StatusCode, String);

/// Keys and limits for checking signed requests.
#[derive(Clone)]
pub struct Signed {
    pub secrets: Secrets,
    pub clock_window_s: u64,
    /// Longest body in bytes, and timeout of reading it.
    pub body_bytes_max: usize,
    pub body_timeout: Duration,
}

impl Signed {
    /// Verifies a request signed for `action` and parses its command.
    pub async fn command<C: DeserializeOwned>(&self, parts: &Parts, body: Body, action: &str) -> Result<C, Refused> {
        let unreadable = |error: serde_json::Error| {
            (StatusCode::BAD_REQUEST, format!("the body is not a command of this version of sampan: {error}"))
        };
        serde_json::from_slice(&self.body(parts, body, action).await?).map_err(unreadable)
    }

    /// Verifies a request signed for `action` and returns its body.
    pub async fn body(&self, parts: &Parts, body: Body, action: &str) -> Result<Bytes, Refused> {
        let clock = || Clock { now_s: jiff::Timestamp::now().as_second(), window_s: self.clock_window_s };
        let stranger = |rejection: Rejection| (StatusCode::UNAUTHORIZED, rejection.to_string());
        // Check the signature's header before reading the body.
        tc3::check_head(&parts.headers, &self.secrets, clock()).map_err(stranger)?;
        if parts.headers.get("x-tc-action").is_none_or(|given| given != action) {
            return Err((StatusCode::BAD_REQUEST, format!("the request is not for the action {action}")));
        }
        let late = |_| (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned());
        let broken = |error: axum::Error| (StatusCode::BAD_REQUEST, error.to_string());
        let body = tokio::time::timeout(self.body_timeout, to_bytes(body, self.body_bytes_max)).await;
        let body = body.map_err(late)?.map_err(broken)?;
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let received = tc3::Received { method: "POST", host, query: "", headers: &parts.headers, body: &body };
        tc3::verify(&received, &self.secrets, clock()).map_err(stranger)?;
        Ok(body)
    }
}
