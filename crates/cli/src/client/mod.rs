//! Client of the control address: signed requests to the cloud API, health, and metrics.

mod admin;
mod commands;
mod times;

use std::time::Duration;

pub use commands::function_type;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use types::wire::EXTENSIONS_PATH;
use types::{ErrorCode, UtcOffset};

use crate::address::is_loopback;
use crate::args::Connection;
use crate::credentials;
use crate::failure::{Exit, Failure, Subject, root_cause};

/// Default control address.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7070";
/// Default data directory for the credentials file.
const DEFAULT_DATA_DIR: &str = "/var/lib/sampan";
/// Connection timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a whole request; the API itself times out after 300 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(330);

/// Client with endpoint and key pair.
pub struct Client {
    http: reqwest::Client,
    endpoint: String,
    secret_id: String,
    secret_key: String,
    region: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    response: Value,
}

/// Content of `/healthz`.
#[derive(Deserialize)]
pub struct Health {
    /// The gateway's address, such as `http://127.0.0.1:7080`.
    pub gateway: String,
    /// Parent domain of functions' host names, if one is configured.
    domain: Option<String>,
    /// UTC offset of times in the API's answers; `None` if the platform does not send this field.
    utc_offset: Option<UtcOffset>,
}

impl Health {
    /// URL on the function's own host name. `None` if clients cannot resolve it: domains below
    /// `localhost` work only on the gateway's machine.
    pub fn host_url(&self, namespace: &str, function: &str) -> Option<String> {
        let domain = self.domain.as_deref()?.trim_start_matches(['*', '.']);
        let gateway: http::Uri = self.gateway.parse().ok()?;
        let is_local = gateway.host().is_some_and(is_loopback);
        if domain.is_empty() || (domain.ends_with("localhost") && !is_local) {
            return None;
        }
        let port = gateway.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{function}.{namespace}.{domain}").to_ascii_lowercase();
        Some(format!("{}://{host}{port}/", gateway.scheme_str().unwrap_or("http")))
    }
}

impl Client {
    /// Takes endpoint and key pair from flags and environment, or from the credentials file.
    pub fn new(connection: &Connection) -> anyhow::Result<Self> {
        let file = connection.credentials.clone().unwrap_or_else(|| credentials::path(DEFAULT_DATA_DIR.as_ref()));
        let complete = connection.secret_id.is_some() && connection.secret_key.is_some();
        let kept = match credentials::read(&file) {
            Ok(kept) => Some(kept),
            Err(_) if complete => None,
            Err(error) => {
                return Err(Failure::new(
                    Exit::Connection,
                    format!("no key pair: {error:#}"),
                    "Set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or name the file that `sampan up` printed \
                     with --credentials.",
                )
                .into());
            }
        };
        let kept_pair = kept.as_ref().map(|k| (k.secret_id.clone(), k.secret_key.clone()));
        let (kept_id, kept_key) = kept_pair.unwrap_or_default();
        let endpoint = connection.endpoint.clone().or(kept.map(|k| k.endpoint));
        let endpoint = endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned()).trim_end_matches('/').to_owned();
        let endpoint = if endpoint.contains("://") { endpoint } else { format!("http://{endpoint}") };
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).no_proxy();
        Ok(Self {
            http: http.build()?,
            endpoint,
            secret_id: connection.secret_id.clone().unwrap_or(kept_id),
            secret_key: connection.secret_key.clone().unwrap_or(kept_key),
            region: connection.region.clone().unwrap_or_else(|| "local".to_owned()),
        })
    }

    /// `host:port` of the control address, which is also the name of the platform's registry.
    pub fn registry(&self) -> &str {
        self.endpoint.split_once("://").map_or(self.endpoint.as_str(), |(_, host)| host)
    }

    /// Whether the endpoint uses plain HTTP.
    pub fn is_plain(&self) -> bool {
        self.endpoint.starts_with("http://")
    }

    /// Secret id and key, which are also the login of the platform's registry.
    pub fn key_pair(&self) -> (&str, &str) {
        (&self.secret_id, &self.secret_key)
    }

    /// Calls an action; an API error becomes a [`Failure`] with its code and a hint.
    pub async fn call(&self, action: &str, body: &Value) -> anyhow::Result<Value> {
        self.call_at("/", action, body).await
    }

    /// Calls an action that is not part of the cloud API.
    pub async fn call_extension(&self, action: &str, body: &Value) -> anyhow::Result<Value> {
        self.call_at(EXTENSIONS_PATH, action, body).await
    }

    async fn call_at(&self, path: &str, action: &str, body: &Value) -> anyhow::Result<Value> {
        let subject = subject(body);
        let body = serde_json::to_vec(body)?;
        let mut request = self.http.post(format!("{}{path}", self.endpoint));
        for (name, value) in self.signed(action, &body) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.map_err(|error| self.unreachable(&error))?;
        let answer = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        let answer: Answer =
            serde_json::from_slice(&answer).with_context(|| format!("{} does not speak the SCF API", self.endpoint))?;
        match answer.response.get("Error") {
            None => Ok(answer.response),
            Some(error) => {
                let id = answer.response.get("RequestId").and_then(Value::as_str).unwrap_or_default();
                Err(refused(error, id).about(subject).into())
            }
        }
    }

    /// Headers of a signed request.
    fn signed(&self, action: &str, body: &[u8]) -> Vec<(&'static str, String)> {
        signature::tc3::sign(&signature::tc3::Request {
            secret_id: &self.secret_id,
            secret_key: &self.secret_key,
            product: signature::tc3::SCF,
            host: self.registry(),
            action,
            region: &self.region,
            timestamp_s: jiff::Timestamp::now().as_second(),
            body,
        })
    }

    /// Reads `/healthz`.
    pub async fn health(&self) -> anyhow::Result<Health> {
        let answer = self.http.get(format!("{}/healthz", self.endpoint)).send().await;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        answer.json().await.with_context(|| format!("{} is not a Sampan control address", self.endpoint))
    }

    /// Reads `/metrics`, in the text format of Prometheus.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let mut request = self.http.get(format!("{}/metrics", self.endpoint));
        // `/metrics` may require the key pair.
        if self.may_carry_secrets().is_ok() {
            request = request.basic_auth(&self.secret_id, Some(&self.secret_key));
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| self.unreachable(&error))?.error_for_status();
        let answer = answer.with_context(|| format!("{} has no metrics", self.endpoint))?;
        answer.text().await.context("the metrics were truncated")
    }

    /// HTTP client for unsigned requests, such as calls of functions.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        Failure::new(
            Exit::Connection,
            format!("Sampan cannot be reached at {}: {}", self.endpoint, root_cause(error)),
            "Start it with `sampan up`, or name its control address with --endpoint or SAMPAN_ENDPOINT.",
        )
        .into()
    }
}

/// Whether a call failed without an answer from the control address.
pub fn is_away(error: &anyhow::Error) -> bool {
    let failure = error.downcast_ref::<Failure>();
    failure.is_some_and(|failure| failure.exit() == Exit::Connection && failure.api_code().is_none())
}

/// Function, namespace and qualifier in a request.
fn subject(body: &Value) -> Subject {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    Subject {
        function: text("FunctionName").unwrap_or_default().to_owned(),
        namespace: text("Namespace").unwrap_or("default").to_owned(),
        qualifier: ["Qualifier", "FunctionVersion", "Name"].into_iter().find_map(text).map(str::to_owned),
    }
}

fn refused(error: &Value, request_id: &str) -> Failure {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (code, message) = (text("Code"), text("Message"));
    let exit = exit_of(&code);
    let hint = ErrorCode::by_name(&code).map_or("", |row| row.hint);
    let hint = match message.starts_with("InvokeRequestId: ") {
        true => ErrorCode::RESOURCE_NOT_FOUND_ASYNC_EVENT.hint,
        false => hint,
    };
    Failure::new(exit, commands::named(&message), hint).with_api_code(code).with_request_id(request_id)
}

/// Maps an API error code to an exit code.
fn exit_of(code: &str) -> Exit {
    match code.split('.').next() {
        Some("ResourceNotFound") => Exit::NotFound,
        // The API's only code for an unknown domain is in another group.
        _ if code == ErrorCode::FAILED_DOMAIN_UNEXIST.name => Exit::NotFound,
        Some("AuthFailure") => Exit::Connection,
        Some("InvalidParameter" | "InvalidParameterValue" | "MissingParameter" | "LimitExceeded") => Exit::Usage,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_errors_have_documented_exit_codes() {
        for (code, exit) in [
            ("ResourceNotFound", Exit::NotFound),
            ("ResourceNotFound.Function", Exit::NotFound),
            (ErrorCode::FAILED_DOMAIN_UNEXIST.name, Exit::NotFound),
            ("AuthFailure.SignatureFailure", Exit::Connection),
            ("InvalidParameterValue.MemorySize", Exit::Usage),
            ("LimitExceeded.Memory", Exit::Usage),
            ("LimitExceeded.Timeout", Exit::Usage),
            ("RequestLimitExceeded", Exit::Failed),
            ("FailedOperation.InvokeFunction", Exit::Failed),
        ] {
            assert_eq!(exit_of(code), exit, "{code}");
        }
    }
}
