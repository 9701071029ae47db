//! Format of every answer (contract 1.4): HTTP 200, `application/json`, and one object `Response`.
//! Pure.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::{Map, Value};
use types::{ApiError, RequestId};

/// The fields of a successful answer.
#[derive(Debug, Default)]
pub(crate) struct Answer(Map<String, Value>);

impl Answer {
    /// A successful answer without fields.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// An answer with the fields of a struct.
    pub(crate) fn of(fields: &impl Serialize) -> Self {
        match serde_json::to_value(fields) {
            Ok(Value::Object(fields)) => Self(fields),
            _ => unreachable!("the shapes of answers are structs of texts, numbers, lists and objects"),
        }
    }
}

/// The HTTP answer to a call.
pub(crate) fn respond(outcome: Result<Answer, ApiError>, request_id: &RequestId) -> Response {
    let mut fields = match outcome {
        Ok(Answer(fields)) => fields,
        Err(error) => {
            let error = serde_json::json!({ "Code": error.code.name, "Message": error.message });
            Map::from_iter([("Error".to_owned(), error)])
        }
    };
    fields.insert("RequestId".to_owned(), request_id.as_str().into());
    let body = Value::Object(Map::from_iter([("Response".to_owned(), Value::Object(fields))]));
    let mut response = Response::new(Body::from(body.to_string()));
    // No charset parameter: with one the Python SDK and tccli do not look for errors.
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
