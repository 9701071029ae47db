//! An upstream: a registry or a mirror of it, with its credentials, which are requested from their
//! provider at their first use, and again when they expire or are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RANGE};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tokio::sync::Mutex;

use crate::Error;
use crate::auth::{self, Challenge};
use crate::client::Target;
use crate::credentials::{Credential, CredentialRequest, Credentials, Grant};
use crate::destination::Origin;
use crate::error_response::Subject;
use crate::redirect::Redirects;
use crate::request::{Request, Resource};
use crate::token;
use crate::transport::Transport;

/// Most attempts of a request: without a token, with one, with one for a renewed credential, and
/// one more because concurrent requests of the same image may replace the token.
const REQUESTS_MAX: u32 = 4;

/// One upstream.
pub(crate) struct Upstream {
    transport: Transport,
    scope: CredentialRequest,
    credentials: Arc<dyn Credentials>,
    /// Actions of its tokens, such as `pull`.
    actions: &'static str,
    /// Whether the registry itself is tried after it.
    is_mirror: bool,
    held: Mutex<Held>,
    given_up: AtomicBool,
}

/// The current credential and authorization header.
#[derive(Default)]
struct Held {
    /// `None` before the first use.
    grant: Option<Grant>,
    authorization: Option<HeaderValue>,
    /// Counts changes of the authorization, so that only one of several concurrent rejected
    /// requests renews it.
    turn: u64,
}

/// How a request is sent.
pub(crate) struct Exchange {
    pub target: Target,
    /// Whether transient failures are retried.
    pub retry: bool,
    pub redirects: Redirects,
    /// Its name in errors.
    pub what: String,
}

/// Authentication attempts of one request.
#[derive(Default)]
struct Tried {
    answered: bool,
    renewed: bool,
}

impl Upstream {
    /// An upstream; `scope` is the request to the provider of credentials.
    pub(crate) fn new(
        transport: Transport,
        scope: CredentialRequest,
        credentials: Arc<dyn Credentials>,
        is_mirror: bool,
    ) -> Self {
        let (held, given_up) = (Mutex::default(), AtomicBool::new(false));
        Self { transport, scope, credentials, actions: token::PULL, is_mirror, held, given_up }
    }

    /// With tokens that allow these actions.
    pub(crate) fn with_actions(self, actions: &'static str) -> Self {
        Self { actions, ..self }
    }

    pub(crate) fn is_mirror(&self) -> bool {
        self.is_mirror
    }

    /// Scheme and host, such as `https://registry-1.docker.io`.
    pub(crate) fn base(&self) -> &str {
        &self.transport.endpoint.base
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Skips it from now on, because of `why`.
    pub(crate) fn give_up(&self, why: &str) {
        if !self.given_up.swap(true, Ordering::Relaxed) {
            tracing::warn!(mirror = self.base(), image = self.transport.subject.image, why, "skipping a mirror");
        }
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Source of the credentials; `None` without any.
    pub(crate) async fn provider(&self) -> Option<String> {
        self.held.lock().await.grant.as_ref().and_then(Grant::shown_provider)
    }

    /// Sends a request; a returned response is a success. Requests to mirrors are not retried,
    /// because the registry follows.
    pub(crate) async fn send(&self, request: &Request) -> Result<Response, Error> {
        let exchange = Exchange {
            target: Target::Named,
            retry: request.retry && !self.is_mirror,
            redirects: Redirects::Follow,
            what: request.resource.name(),
        };
        self.exchange(exchange, |client, authorization| self.build(client, request, authorization)).await
    }

    /// Sends the request of `build`, and authenticates when challenged; a returned response is a
    /// success, or a redirect if redirects are to be returned.
    pub(crate) async fn exchange(
        &self,
        exchange: Exchange,
        build: impl Fn(&Client, Option<&HeaderValue>) -> RequestBuilder,
    ) -> Result<Response, Error> {
        let Exchange { target, retry, redirects, what } = exchange;
        let mut tried = Tried::default();
        let mut requests = 0;
        loop {
            let (authorization, turn) = self.ready().await?;
            let build = |client: &Client| build(client, authorization.as_ref());
            let response = self.transport.send(target.clone(), retry, redirects, build).await?;
            requests += 1;
            let is_returned = redirects == Redirects::Return && response.status().is_redirection();
            if response.status().is_success() || is_returned {
                return Ok(response);
            }
            let challenge = match response.status() {
                StatusCode::UNAUTHORIZED if requests < REQUESTS_MAX => auth::challenge(response.headers()),
                _ => None,
            };
            let again = match challenge {
                Some(challenge) => {
                    let origin = self.transport.origin(&response);
                    self.answer(&challenge, origin, turn, &mut tried).await?
                }
                None => false,
            };
            if !again {
                return Err(self.transport.error_response(response, what, self.provider().await).await);
            }
        }
    }

    fn build(&self, client: &Client, request: &Request, authorization: Option<&HeaderValue>) -> RequestBuilder {
        let mut headers = HeaderMap::new();
        headers.extend(request.accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))));
        headers.extend(authorization.cloned().map(|value| (AUTHORIZATION, value)));
        if request.offset > 0 {
            let range = format!("bytes={}-", request.offset);
            headers.insert(RANGE, range.parse().expect("digits are valid in a header"));
        }
        client.request(request.method.clone(), self.url(&request.resource)).headers(headers)
    }

    /// The URL of a resource of the repository.
    pub(crate) fn url(&self, resource: &Resource) -> String {
        format!("{}/v2/{}", self.base(), resource.path(&self.scope.repository))
    }

    /// The current authorization and its number; an expired credential is renewed first.
    pub(crate) async fn ready(&self) -> Result<(Option<HeaderValue>, u64), Error> {
        let mut held = self.held.lock().await;
        match &held.grant {
            None => {
                let grant = self.ask_provider(false).await?;
                held.take(grant);
            }
            Some(grant) if grant.is_over(Timestamp::now()) => {
                let mut grant = self.ask_provider(true).await?;
                if grant.is_over(Timestamp::now()) {
                    // The clocks differ; the registry decides whether it has expired.
                    grant.expires_at = None;
                }
                held.take(grant);
            }
            Some(_) => {}
        }
        Ok((held.authorization.clone(), held.turn))
    }

    async fn ask_provider(&self, renew: bool) -> Result<Grant, Error> {
        let request = CredentialRequest { renew, ..self.scope.clone() };
        let grant = self.credentials.for_registry(request).await;
        let Subject { registry, image, .. } = self.transport.subject.clone();
        grant.map_err(|source| Error::Credentials { registry, image, source })
    }

    /// Gets the authorization for a challenge, with the current credential and, if that failed,
    /// with a renewed one. Returns whether to send the request again.
    async fn answer(
        &self,
        challenge: &Challenge,
        origin: Option<Origin>,
        turn: u64,
        tried: &mut Tried,
    ) -> Result<bool, Error> {
        let mut held = self.held.lock().await;
        if held.turn != turn {
            // A concurrent request of this image has renewed it.
            return Ok(true);
        }
        let grant = held.grant.clone().unwrap_or_else(Grant::anonymous);
        let mut outcome = match tried.answered {
            false => self.authorization(challenge, &grant, origin.clone()).await,
            true => Ok(None),
        };
        tried.answered = true;
        let in_vain = match &outcome {
            Ok(authorization) => authorization.is_none() || *authorization == held.authorization,
            Err(Error::AccessDenied { .. }) => true,
            Err(_) => false,
        };
        if in_vain && !tried.renewed {
            tried.renewed = true;
            let renewed = self.ask_provider(true).await?;
            if renewed.credential != grant.credential {
                outcome = self.authorization(challenge, &renewed, origin).await;
                held.take(renewed);
            } else if outcome.is_ok() {
                return Ok(false);
            }
        }
        let authorization = outcome?;
        let again = authorization.is_some();
        held.show(authorization);
        Ok(again)
    }

    async fn authorization(
        &self,
        challenge: &Challenge,
        grant: &Grant,
        origin: Option<Origin>,
    ) -> Result<Option<HeaderValue>, Error> {
        let scope = (self.scope.repository.as_str(), self.actions);
        token::authorization(&self.transport, challenge, grant, scope, origin).await
    }
}

impl Held {
    fn take(&mut self, grant: Grant) {
        // A bearer credential needs no challenge.
        let authorization = match &grant.credential {
            Some(Credential::Bearer(token)) => auth::bearer(token),
            _ => None,
        };
        self.grant = Some(grant);
        self.show(authorization);
    }

    fn show(&mut self, authorization: Option<HeaderValue>) {
        self.authorization = authorization;
        self.turn += 1;
    }
}
