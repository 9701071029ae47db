//! `sampan invoke --async` of a web function: a signed call of the gateway's `/async/` that returns
//! the event's id.

use anyhow::Context;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use reqwest::{Request, RequestBuilder};
use serde_json::{Value, json};
use signature::tc3;

use crate::args::Output;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output;

/// Default content type: the signature always covers one.
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Queues a call and prints its id.
pub async fn accept(client: &Client, request: RequestBuilder, format: Output) -> anyhow::Result<()> {
    let request = signed(request.build().context("the call cannot be made")?, client.key_pair())?;
    let answer = client.http().execute(request).await.context("the gateway cannot be reached")?;
    let status = answer.status();
    let said: Value = answer.json().await.context("the answer is not the gateway's")?;
    let id = said["requestId"].as_str().unwrap_or_default();
    if status != StatusCode::ACCEPTED {
        let exit = match status {
            StatusCode::UNAUTHORIZED => Exit::Connection,
            StatusCode::NOT_FOUND => Exit::NotFound,
            _ => Exit::Failed,
        };
        let message =
            format!("the call was not accepted: {}", said["errorMessage"].as_str().unwrap_or(status.as_str()));
        return Err(Failure::new(exit, message, "").with_request_id(id).into());
    }
    match format {
        Output::Json => output::json(&json!({"id": id}))?,
        Output::Text => println!("{id}"),
    }
    Ok(())
}

/// Adds the signature's headers to a call.
pub(super) fn signed(mut request: Request, (secret_id, secret_key): (&str, &str)) -> anyhow::Result<Request> {
    let content_type = request.headers_mut().entry(CONTENT_TYPE).or_insert(BINARY).clone();
    let url = request.url().clone();
    let name = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    let headers = tc3::sign_http(&tc3::HttpRequest {
        secret_id,
        secret_key,
        method: request.method().as_str(),
        host: &host,
        path: url.path(),
        query: url.query().unwrap_or_default(),
        content_type: content_type.to_str().context("the content type is text")?,
        timestamp_s: jiff::Timestamp::now().as_second(),
        body: request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default(),
    });
    for (name, value) in headers {
        request.headers_mut().insert(name, value.parse().context("a header of the signature is text")?);
    }
    Ok(request)
}
