//! A client of the cloud API that signs requests and returns plain JSON.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::wait;

/// A client of one platform.
#[derive(Clone)]
pub struct ApiClient {
    http: reqwest::Client,
    endpoint: String,
    /// Secret id of the key pair.
    pub secret_id: String,
    /// Secret key of the key pair.
    pub secret_key: String,
}

impl ApiClient {
    /// Reads the key pair that the platform wrote.
    pub fn new(http: reqwest::Client, endpoint: String, credentials: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(credentials).context("the platform wrote its credentials")?;
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split('"').nth(1).unwrap_or_default().to_owned()
        };
        Ok(Self { http, endpoint, secret_id: field("secret_id"), secret_key: field("secret_key") })
    }

    /// Calls an action and returns the content of `Response`, errors included.
    pub async fn response(&self, action: &str, body: &Value) -> anyhow::Result<Value> {
        let body = serde_json::to_vec(body)?;
        let signed = signature::tc3::sign(&signature::tc3::Request {
            secret_id: &self.secret_id,
            secret_key: &self.secret_key,
            product: signature::tc3::SCF,
            host: self.endpoint.trim_start_matches("http://"),
            action,
            region: "local",
            timestamp_s: jiff::Timestamp::now().as_second(),
            body: &body,
        });
        let mut request = self.http.post(format!("{}/", self.endpoint)).body(body);
        for (name, value) in signed {
            request = request.header(name, value);
        }
        let answer = request.send().await.context("the control address answers")?;
        let text = answer.text().await?;
        let answer: Value = serde_json::from_str(&text).with_context(|| format!("{action} answered {text}"))?;
        Ok(answer["Response"].clone())
    }

    /// Calls an action that must succeed.
    pub async fn call(&self, action: &str, body: Value) -> anyhow::Result<Value> {
        let response = self.response(action, &body).await?;
        if !response["Error"].is_null() {
            bail!("{action} {body} was refused: {}", response["Error"]);
        }
        Ok(response)
    }

    /// Calls an action that must fail, and returns `(code, message)`.
    pub async fn refused(&self, action: &str, body: Value) -> anyhow::Result<(String, String)> {
        let response = self.response(action, &body).await?;
        let text = |name: &str| response["Error"][name].as_str().map(str::to_owned);
        match (text("Code"), text("Message")) {
            (Some(code), Some(message)) => Ok((code, message)),
            _ => bail!("{action} {body} was not refused: {response}"),
        }
    }

    /// Waits until `$LATEST` of a function of the default namespace is in one of `states`.
    pub async fn wait_status(&self, function: &str, states: &[&str]) -> anyhow::Result<Value> {
        wait::until(&format!("{function} becomes {states:?}"), || async {
            let found = self.call("GetFunction", json!({"FunctionName": function})).await?;
            let status = found["Status"].as_str().unwrap_or_default();
            if states.contains(&status) {
                return Ok(Some(found));
            }
            if status.ends_with("Failed") {
                bail!("{function} is {status}: {}", found["StatusReasons"]);
            }
            Ok(None)
        })
        .await
    }

    /// Calls an event function and returns `Result`.
    pub async fn invoke(&self, function: &str, event: &Value) -> anyhow::Result<Value> {
        let request = json!({"FunctionName": function, "ClientContext": event.to_string(), "LogType": "Tail"});
        Ok(self.call("Invoke", request).await?["Result"].clone())
    }

    /// The complete log record of one request.
    pub async fn log_of(&self, function: &str, request_id: &str) -> anyhow::Result<Value> {
        wait::until(&format!("the log of {request_id}"), || async {
            let request = json!({"FunctionName": function, "FunctionRequestId": request_id});
            let found = self.call("GetFunctionLogs", request).await?;
            let record = found["Data"].get(0).cloned();
            Ok(record.filter(|r| r["InvokeFinished"] == 1))
        })
        .await
    }
}
