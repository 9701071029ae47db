//! Endpoints of administration: each takes one signed command and answers it in JSON, a refusal
//! under its HTTP status.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;

use super::signed::Refused;

/// What one endpoint administers.
pub trait Administer: Send + Sync + 'static {
    /// Where it is served.
    const PATH: &'static str;
    /// What it answers.
    type Answer: Serialize + Send;

    /// Does what a request commands.
    fn answer(&self, parts: &Parts, body: Body) -> impl Future<Output = Result<Self::Answer, Refused>> + Send;

    /// The answer of a request that is refused.
    fn refusal(status: u16, message: String) -> Self::Answer;
}

/// Serves an endpoint.
pub fn router<A: Administer>(administration: A) -> Router {
    Router::new().route(A::PATH, post(serve::<A>)).with_state(Arc::new(administration))
}

async fn serve<A: Administer>(State(administration): State<Arc<A>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match administration.answer(&parts, body).await {
        Ok(answer) => Json(answer).into_response(),
        Err((status, message)) => (status, Json(A::refusal(status.as_u16(), message))).into_response(),
    }
}
