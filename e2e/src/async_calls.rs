//! Signed calls of `/async/` at the gateway.

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::Value;

use crate::{ApiClient, Platform};

/// A client of one platform's gateway that signs its calls.
#[derive(Clone)]
pub struct AsyncClient {
    http: reqwest::Client,
    gateway: String,
    api: ApiClient,
}

/// Content type of calls that set none.
const CONTENT_TYPE: &str = "application/json";

impl AsyncClient {
    /// A client with the platform's key pair.
    pub fn of(platform: &Platform) -> Self {
        Self { http: platform.http.clone(), gateway: platform.gateway.clone(), api: platform.api.clone() }
    }

    /// Calls a function of the default namespace; `rest` is its name and the rest of the path, as
    /// in `web:1/path?query`.
    pub async fn send(
        &self,
        method: Method,
        rest: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> anyhow::Result<reqwest::Response> {
        let target = format!("/async/default/{rest}");
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let signed = signature::tc3::sign_http(&signature::tc3::HttpRequest {
            secret_id: &self.api.secret_id,
            secret_key: &self.api.secret_key,
            method: method.as_str(),
            host: self.gateway.trim_start_matches("http://"),
            path,
            query,
            content_type: CONTENT_TYPE,
            timestamp_s: jiff::Timestamp::now().as_second(),
            body: &body,
        });
        let mut request = self.http.request(method, format!("{}{target}", self.gateway)).body(body);
        for (name, value) in &signed {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.context("the gateway answers")
    }

    /// Sends a POST that must be accepted, and returns its request id.
    pub async fn accepted(&self, rest: &str, headers: &[(&str, &str)], body: &str) -> anyhow::Result<String> {
        let answer = self.send(Method::POST, rest, headers, body.into()).await?;
        let (status, id) = (answer.status(), answer.headers().get("x-call-id").cloned());
        let said: Value = answer.json().await?;
        ensure!(status == 202, "{rest} was not accepted: {status} {said}");
        let id = id.context("it has a call id")?.to_str()?.to_owned();
        ensure!(said["requestId"] == id.as_str(), "{said}");
        Ok(id)
    }
}
