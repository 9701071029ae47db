//! Temporary credentials of enterprise registries: `CreateInstanceToken` of product `tcr`, version
//! 2019-09-24, signed with TC3 (cloud.tencent.com/document/api/1141/41571).

use std::sync::OnceLock;

use futures_util::StreamExt;
use jiff::Timestamp;
use parking_lot::Mutex;
use registry_client::{Credential, CredentialError, Grant};
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use signature::tc3;
use types::root_cause;

use crate::cache::Cache;
use crate::key_lock::KeyLocks;
use crate::sealed_store::TcrLogin;
use crate::{Config, Secret};

const ACTION: &str = "CreateInstanceToken";
/// Times below this are in seconds: the documentation names no unit, and its examples are in
/// milliseconds.
const SECONDS_MAX: i64 = 100_000_000_000;

/// Client of the cloud API, with a cache of credentials.
pub(crate) struct Tcr {
    config: Config,
    /// For loopback endpoints; made at first use.
    loopback: OnceLock<Client>,
    /// For all other endpoints; making it reads the system's certificates.
    world: OnceLock<Client>,
    cached: Mutex<Cache<TcrKey, (String, Secret)>>,
    locks: KeyLocks,
}

/// Endpoint, registry id and key id: another key pair may have other permissions.
type TcrKey = (String, String, String);

/// Response of the cloud API.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    response: Body,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    error: Option<Refusal>,
    request_id: Option<String>,
    username: Option<String>,
    token: Option<Secret>,
    exp_time: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    code: String,
    message: String,
}

/// A temporary credential.
#[derive(Debug, PartialEq, Eq)]
struct Token {
    username: String,
    token: Secret,
    expires_at: Timestamp,
}

impl Tcr {
    pub(crate) fn new(config: Config) -> Self {
        let cached = Mutex::new(Cache::new(config.cached_max, config.expiry_margin()));
        Self { config, loopback: OnceLock::new(), world: OnceLock::new(), cached, locks: KeyLocks::default() }
    }

    /// A credential for the whole registry, cached until shortly before it expires.
    pub(crate) async fn find(&self, login: &TcrLogin, renew: bool) -> Result<Grant, CredentialError> {
        let endpoint = login.endpoint.as_ref().unwrap_or(&self.config.tcr_endpoint);
        let key = (endpoint.clone(), login.registry_id.clone(), login.secret_id.clone());
        let _guard = self.locks.lock(&format!("{endpoint} {} {}", login.registry_id, login.secret_id)).await;
        if renew {
            self.cached.lock().remove(&key);
        } else if let Some(((user, token), until)) = self.cached.lock().get_until(&key, Timestamp::now()) {
            return Ok(grant(user, &token, until));
        }
        let wait = tokio::time::timeout(self.config.tcr_timeout(), self.create_token(login, endpoint)).await;
        let token = wait.map_err(|_| format!("no answer within {} s", self.config.tcr_timeout_s));
        let token = token.and_then(|answer| answer).map_err(|reason| {
            CredentialError::new(format!("no temporary credential for {} from {endpoint}: {reason}", login.registry_id))
        })?;
        let Token { username, token, expires_at } = token;
        let value = (username.clone(), token.clone());
        self.cached.lock().put(key, value, expires_at, Timestamp::now());
        Ok(grant(username, &token, expires_at))
    }

    /// Empties the cache, after a change of key pairs.
    pub(crate) fn forget(&self) {
        self.cached.lock().clear();
    }

    async fn create_token(&self, login: &TcrLogin, endpoint: &str) -> Result<Token, String> {
        let url = endpoint_url(endpoint)?;
        let body = serde_json::json!({"RegistryId": login.registry_id, "TokenType": "temp"}).to_string();
        let signed = tc3::sign(&tc3::Request {
            secret_id: &login.secret_id,
            secret_key: login.secret_key.reveal(),
            product: tc3::TCR,
            host: &host_header(&url),
            action: ACTION,
            region: login.region.as_ref().unwrap_or(&self.config.tcr_region),
            timestamp_s: Timestamp::now().as_second(),
            body: body.as_bytes(),
        });
        let mut request = self.client(&url)?.post(url).body(body);
        for (name, value) in signed {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(|error| root_cause(&error.without_url()))?;
        let status = response.status();
        let bytes = read(response, self.config.tcr_answer_bytes_max).await?;
        // The API answers 200 to errors too; another status comes from a proxy in between.
        if !status.is_success() {
            return Err(format!("HTTP {status}"));
        }
        token(&bytes)
    }

    fn client(&self, url: &Url) -> Result<&Client, String> {
        let slot = if is_loopback(url) { &self.loopback } else { &self.world };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let builder = || {
            let builder = Client::builder().redirect(reqwest::redirect::Policy::none());
            // A proxy would connect to its own loopback.
            if is_loopback(url) { builder.no_proxy() } else { builder }
        };
        let client = match builder().build() {
            // A machine without root certificates can still reach its own endpoints.
            Err(_) if is_loopback(url) => builder().tls_certs_only([]).build(),
            built => built,
        };
        let client = client.map_err(|error| root_cause(&error))?;
        Ok(slot.get_or_init(|| client))
    }
}

fn grant(user: String, token: &Secret, expires_at: Timestamp) -> Grant {
    Grant {
        credential: Some(Credential::Basic { user, password: token.reveal().to_owned() }),
        provider: "CreateInstanceToken of the enterprise registry".to_owned(),
        expires_at: Some(expires_at),
    }
}

/// Checks an endpoint: only `https`, or `http` on a loopback address, so that no credential crosses
/// a network in clear.
pub(crate) fn endpoint_url(endpoint: &str) -> Result<Url, String> {
    let wrong = || format!("{endpoint:?} is not an endpoint of the cloud API, such as https://tcr.tencentcloudapi.com");
    let url: Url = endpoint.parse().map_err(|_| wrong())?;
    let encrypted = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty() && url.password().is_none();
    if encrypted && bare && url.has_host() { Ok(url) } else { Err(wrong()) }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The `Host` header sent for a URL, which is signed.
fn host_header(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

async fn read(response: Response, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| root_cause(&error.without_url()))?;
        if bytes.len() + chunk.len() > bytes_max {
            return Err("the answer is longer than tcr_answer_bytes_max of [credentials]".to_owned());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Parses a response; an error includes the API's code and request id.
fn token(bytes: &[u8]) -> Result<Token, String> {
    let envelope: Envelope =
        serde_json::from_slice(bytes).map_err(|_| "its answer is not JSON of the cloud API".to_owned())?;
    let Body { error, request_id, username, token, exp_time } = envelope.response;
    let request_id = request_id.unwrap_or_else(|| "none".to_owned());
    if let Some(Refusal { code, message }) = error {
        let remedy = remedy(&code);
        return Err(format!("{code}: {message} (RequestId {request_id}){remedy}"));
    }
    let lacks = |what: &str| format!("its answer has no {what} (RequestId {request_id})");
    let exp_time = exp_time.ok_or_else(|| lacks("ExpTime"))?;
    let ms = if exp_time < SECONDS_MAX { exp_time.saturating_mul(1000) } else { exp_time };
    Ok(Token {
        username: username.filter(|name| !name.is_empty()).ok_or_else(|| lacks("Username"))?,
        token: token.filter(|token| !token.reveal().is_empty()).ok_or_else(|| lacks("Token"))?,
        expires_at: Timestamp::from_millisecond(ms).map_err(|_| lacks("ExpTime that is a time"))?,
    })
}

fn remedy(code: &str) -> &'static str {
    match code.split_once('.') {
        Some(("AuthFailure", "UnauthorizedOperation")) | Some(("UnauthorizedOperation", _)) => {
            "; allow the key pair tcr:CreateInstanceToken"
        }
        Some(("AuthFailure", _)) => "; check the key pair, and add it again with `sampan registry add HOST --tcr`",
        Some(("ResourceNotFound", _)) => "; check the registry id and the region",
        _ if code == "UnauthorizedOperation" => "; allow the key pair tcr:CreateInstanceToken",
        _ if code == "ResourceNotFound" => "; check the registry id and the region",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_response_is_parsed() {
        let text = br#"{"Response": {"ExpTime": 1735880997750, "Token": "hidden", "TokenId": null,
            "Username": "100036950234", "RequestId": "bfa74e4d"}}"#;
        let read = token(text).expect("valid");
        assert_eq!((read.username.as_str(), read.token.reveal()), ("100036950234", "hidden"));
        assert_eq!(read.expires_at.as_millisecond(), 1_735_880_997_750);
        let seconds = String::from_utf8_lossy(text).replace("1735880997750", "1735880997");
        assert_eq!(token(seconds.as_bytes()).expect("valid").expires_at.as_second(), 1_735_880_997);
        assert!(!format!("{read:?}").contains("hidden"));
    }

    #[test]
    fn an_error_has_its_code_and_request_id() {
        let text = br#"{"Response": {"Error": {"Code": "AuthFailure.SignatureFailure", "Message": "no match"},
            "RequestId": "r-1"}}"#;
        let error = token(text).expect_err("refused");
        assert!(error.contains("AuthFailure.SignatureFailure: no match (RequestId r-1)"), "{error}");
        for lacking in ["Token", "ExpTime", "Username"] {
            let text = r#"{"Response": {"Token": "t", "ExpTime": 1735880997750, "Username": "u", "RequestId": "r-2"}}"#;
            let error = token(text.replace(lacking, "Else").as_bytes()).expect_err(lacking);
            assert!(error.contains(lacking) && error.contains("r-2"), "{error}");
        }
        assert!(token(b"<html>").is_err());
    }

    #[test]
    fn an_endpoint_has_tls_or_a_loopback_address() {
        for good in ["https://tcr.tencentcloudapi.com", "https://t.io:8443/", "http://127.0.0.1:5000", "http://[::1]:1"]
        {
            assert!(endpoint_url(good).is_ok(), "{good}");
        }
        for bad in
            ["http://t.io", "t.io", "https://u:p@t.io", "https://t.io/path", "ftp://127.0.0.1", "https://t.io/?a"]
        {
            assert!(endpoint_url(bad).is_err(), "{bad}");
        }
        assert_eq!(host_header(&endpoint_url("http://127.0.0.1:5000").expect("valid")), "127.0.0.1:5000");
        assert_eq!(host_header(&endpoint_url("https://t.io:443").expect("valid")), "t.io");
    }
}
