//! Requests to one repository of a registry on behalf of one preparation: credentials, retries, and errors that say
//! what a user can do. Must not know what manifests mean.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::Mutex;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RANGE, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use types::{Digest, ImageRef};

use super::auth::{self, Challenge, TokenAnswer};
use super::client::{Cause, Clients, cause};
use super::endpoint::Endpoint;
use super::retry::{Failure, RetryPolicy, is_transient, retry_after};
use crate::credentials::{Credential, Credentials};
use crate::{Config, Error};

/// One repository.
pub(crate) struct Session {
    client: Client,
    endpoint: Endpoint,
    image: ImageRef,
    credential: Option<Credential>,
    authorization: Mutex<Option<HeaderValue>>,
    policy: RetryPolicy,
    answer_bytes_max: u64,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// By tag or digest.
    Manifest(String),
    Blob(Digest),
}

impl Target {
    fn path(&self) -> String {
        match self {
            Self::Manifest(reference) => format!("manifests/{reference}"),
            Self::Blob(digest) => format!("blobs/{digest}"),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Manifest(reference) => format!("manifest {reference}"),
            Self::Blob(digest) => format!("blob {digest}"),
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub method: Method,
    pub target: Target,
    pub accept: Option<&'static str>,
    /// First byte that is wanted.
    pub offset: u64,
    /// Whether failures that may pass are tried again.
    pub retry: bool,
}

impl Ask {
    pub(super) fn get(target: Target) -> Self {
        Self { method: Method::GET, target, accept: None, offset: 0, retry: true }
    }
}

impl Session {
    /// Finds the registry and asks for credentials; nothing is sent to the registry yet.
    pub(crate) async fn begin(
        clients: &Clients,
        config: &Config,
        credentials: &Arc<dyn Credentials>,
        image: &ImageRef,
        registry_id: Option<&str>,
    ) -> Result<Self, Error> {
        let registry = &image.registry;
        let credential = credentials.for_registry(registry, &image.repository, registry_id).await;
        let credential = credential.map_err(|source| Error::Credentials { registry: registry.clone(), source })?;
        let authorization = match &credential {
            Some(Credential::Bearer(token)) => auth::bearer(token),
            _ => None,
        };
        let endpoint = Endpoint::new(registry, config);
        let client = clients.client(&endpoint).map_err(|source| unreachable_error(image, source))?;
        let authorization = Mutex::new(authorization);
        let (policy, answer_bytes_max) = (RetryPolicy::new(config), config.answer_bytes_max);
        Ok(Self { client, endpoint, image: image.clone(), credential, authorization, policy, answer_bytes_max })
    }

    pub(super) fn policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Sends a request; an answer is a success.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Response, Error> {
        let mut response = self.try_until_answered(ask.retry, || self.request(ask)).await?;
        if response.status() == StatusCode::UNAUTHORIZED
            && let Some(challenge) = auth::challenge(response.headers())
        {
            // Also when a token was sent: it may have expired on the way.
            self.answer(challenge).await?;
            response = self.try_until_answered(ask.retry, || self.request(ask)).await?;
        }
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response, ask.target.name()).await) }
    }

    fn request(&self, ask: &Ask) -> RequestBuilder {
        let url = format!("{}/v2/{}/{}", self.endpoint.base, self.image.repository, ask.target.path());
        let mut headers = HeaderMap::new();
        headers.extend(ask.accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))));
        headers.extend(self.authorization.lock().clone().map(|value| (AUTHORIZATION, value)));
        if ask.offset > 0 {
            let range = format!("bytes={}-", ask.offset);
            headers.insert(RANGE, range.parse().expect("digits are valid in a header"));
        }
        self.client.request(ask.method.clone(), url).headers(headers)
    }

    /// Sends until there is an answer that trying again would not change.
    async fn try_until_answered(&self, retry: bool, build: impl Fn() -> RequestBuilder) -> Result<Response, Error> {
        let mut tried = 0;
        loop {
            let outcome = build().send().await;
            let failure = match &outcome {
                Ok(response) if is_transient(response.status().as_u16()) => {
                    Failure::Transient { retry_after: asked_pause(response.headers()) }
                }
                Ok(_) => Failure::Final,
                Err(error) => failure_of(error),
            };
            let pause = self.policy.pause(failure, tried).filter(|_| retry);
            let Some(pause) = pause else { return outcome.map_err(|error| self.no_answer(error)) };
            tracing::debug!(image = %self.image, tried, ?pause, ?failure, "asking the registry again");
            tokio::time::sleep(pause).await;
            tried += 1;
        }
    }

    /// Gets what a challenge asks for.
    async fn answer(&self, challenge: Challenge) -> Result<(), Error> {
        let authorization = match challenge {
            Challenge::Basic => self.credential.as_ref().and_then(auth::basic),
            Challenge::Bearer { realm, service, scope } => {
                // A fixed token cannot be exchanged; it was sent already.
                if matches!(self.credential, Some(Credential::Bearer(_))) {
                    return Ok(());
                }
                Some(self.fetch_token(&realm, service, scope).await?)
            }
        };
        *self.authorization.lock() = authorization;
        Ok(())
    }

    async fn fetch_token(
        &self,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
    ) -> Result<HeaderValue, Error> {
        let url: reqwest::Url = realm.parse().map_err(|_| self.protocol("its token server has no valid address"))?;
        if !auth::may_tell(&url, self.endpoint.plain) {
            return Err(self.protocol("its token server is not encrypted, so no credentials were sent to it"));
        }
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.image.repository));
        let mut fields = vec![("scope", scope)];
        fields.extend(service.map(|service| ("service", service)));
        let response = match &self.credential {
            Some(Credential::Identity(token)) => {
                fields.push(("grant_type", "refresh_token".into()));
                fields.push(("client_id", "sampan".into()));
                fields.push(("refresh_token", token.clone()));
                let form = encoded(&url, &fields).query().unwrap_or_default().to_owned();
                let build = || {
                    let kind = "application/x-www-form-urlencoded";
                    self.client.post(url.clone()).header(reqwest::header::CONTENT_TYPE, kind).body(form.clone())
                };
                self.try_until_answered(true, build).await?
            }
            credential => {
                let (basic, url) = (credential.as_ref().and_then(auth::basic), encoded(&url, &fields));
                let build = || {
                    let request = self.client.get(url.clone());
                    basic.iter().fold(request, |request, value| request.header(AUTHORIZATION, value))
                };
                self.try_until_answered(true, build).await?
            }
        };
        if !response.status().is_success() {
            return Err(self.refusal(response, "token server".into()).await);
        }
        let body = self.read_answer(response).await?;
        let token = serde_json::from_slice::<TokenAnswer>(&body).ok().and_then(TokenAnswer::token);
        let header = token.and_then(|token| auth::bearer(&token));
        header.ok_or_else(|| self.protocol("its token server sent no token"))
    }

    /// Reads a whole answer of at most `bytes_max`; `None` when it is longer.
    pub(super) async fn read_body(&self, response: Response, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| self.no_answer(error))?;
            if (body.len() + chunk.len()) as u64 > bytes_max {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }

    async fn read_answer(&self, response: Response) -> Result<Vec<u8>, Error> {
        let body = self.read_body(response, self.answer_bytes_max).await?;
        body.ok_or_else(|| self.protocol("an answer is longer than answer_bytes_max of [image]"))
    }

    /// Content that came for `expected` and is something else.
    pub(crate) fn wrong_content(&self, expected: Digest, actual: Digest) -> Error {
        let (registry, image) = (self.image.registry.clone(), self.image.to_string());
        Error::WrongContent { registry, image, expected, actual }
    }

    pub(super) fn protocol(&self, what: impl Into<String>) -> Error {
        let (registry, image) = (self.image.registry.clone(), self.image.to_string());
        Error::Protocol { registry, image, what: what.into() }
    }

    /// What it means that there is no answer.
    pub(super) fn no_answer(&self, error: reqwest::Error) -> Error {
        let (registry, image) = (self.image.registry.clone(), self.image.to_string());
        match cause(&error) {
            Cause::PlainHttp => Error::PlainHttp { registry, image },
            Cause::NotHttp if self.endpoint.plain => Error::NeedsTls { registry, image },
            // Its address may hold a token.
            Cause::Untrusted => Error::Untrusted { registry, image, source: Arc::new(error.without_url()) },
            _ => unreachable_error(&self.image, error),
        }
    }

    /// What it means that an answer is no success.
    async fn refusal(&self, response: Response, what: String) -> Error {
        let status = response.status().as_u16();
        let body = self.read_answer(response).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&body);
        let (registry, image) = (self.image.registry.clone(), self.image.to_string());
        // What Go's and nginx' servers say.
        let wants_tls =
            text.contains("HTTP request to an HTTPS server") || text.contains("HTTP request was sent to HTTPS");
        let detail = words(&body);
        match status {
            400 if self.endpoint.plain && wants_tls => Error::NeedsTls { registry, image },
            401 | 403 => {
                let with_credentials = self.credential.is_some();
                Error::AccessDenied { registry, image, status, with_credentials, detail }
            }
            404 => Error::NotFound { registry, image, what, detail },
            _ => Error::Refused { registry, image, status, detail },
        }
    }
}

fn unreachable_error(image: &ImageRef, error: reqwest::Error) -> Error {
    let source = Arc::new(error.without_url());
    Error::Unreachable { registry: image.registry.clone(), image: image.to_string(), source }
}

/// Whether it may help to try again.
pub(super) fn failure_of(error: &reqwest::Error) -> Failure {
    match cause(error) {
        Cause::Connect => Failure::Connect,
        Cause::Broken => Failure::Transient { retry_after: None },
        Cause::PlainHttp | Cause::NotHttp | Cause::Untrusted | Cause::Request => Failure::Final,
    }
}

fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| retry_after(v, jiff::Timestamp::now()))
}

fn encoded(url: &reqwest::Url, fields: &[(&str, String)]) -> reqwest::Url {
    let mut url = url.clone();
    url.query_pairs_mut().extend_pairs(fields);
    url
}

/// The registry's own words (distribution specification, "Error Codes"), bounded and made printable.
fn words(body: &[u8]) -> String {
    const WORDS_LEN_MAX: usize = 200;
    #[derive(serde::Deserialize)]
    struct Envelope {
        errors: Vec<Item>,
    }
    #[derive(serde::Deserialize)]
    struct Item {
        code: Option<String>,
        message: Option<String>,
    }
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else { return String::new() };
    let said: Vec<_> = envelope.errors.into_iter().flat_map(|item| [item.code, item.message]).flatten().collect();
    if said.is_empty() {
        return String::new();
    }
    let said: String = said.join(": ").chars().filter(|c| !c.is_control()).take(WORDS_LEN_MAX).collect();
    format!(" ({said})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registrys_words_are_bounded_and_printable() {
        let body = br#"{"errors": [{"code": "DENIED", "message": "no\u001b[31m way"}]}"#;
        assert_eq!(words(body), " (DENIED: no[31m way)");
        assert_eq!(words(b"<html>"), "");
        let long = format!(r#"{{"errors": [{{"message": "{}"}}]}}"#, "x".repeat(5000));
        assert_eq!(words(long.as_bytes()).len(), 203);
    }
}
