//! Administration endpoints. Each takes one signed command and answers in JSON; the HTTP status of
//! an error answer is its refusal status.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;

use super::signed::Refused;

/// Handler of one administration endpoint.
pub trait Administer: Send + Sync + 'static {
    /// Path of the endpoint.
    const PATH: &'static str;
    /// JSON body of an answer.
    type Answer: Serialize + Send;

    /// Executes the command of a request.
    fn answer(&self, parts: &Parts, body: Body) -> impl Future<Output = Result<Self::Answer, Refused>> + Send;

    /// Body of an error answer.
    fn refusal(status: u16, message: String) -> Self::Answer;
}

/// Router with the endpoint at [`Administer::PATH`].
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
