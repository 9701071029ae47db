//! An upstream: one place that has a repository, the registry itself or a mirror of it, with its
//! credentials, which are asked for when they are first needed, and again when they are over or
//! refused.

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

/// Requests for one thing: without a token, with one, with one for a renewed credential, and one
/// more because others of the same image change the token meanwhile.
const REQUESTS_MAX: u32 = 4;

/// One upstream.
pub(crate) struct Upstream {
    transport: Transport,
    scope: CredentialRequest,
    credentials: Arc<dyn Credentials>,
    /// What its tokens allow, such as `pull`.
    actions: &'static str,
    /// Whether there is a place to ask after this one.
    is_mirror: bool,
    held: Mutex<Held>,
    given_up: AtomicBool,
}

/// What is shown to the registry.
#[derive(Default)]
struct Held {
    /// `None` until it was asked for.
    grant: Option<Grant>,
    authorization: Option<HeaderValue>,
    /// Counts changes of the authorization, so that of many that were refused one alone gets a new
    /// one.
    turn: u64,
}

/// How a request is sent.
pub(crate) struct Exchange {
    pub target: Target,
    /// Whether failures that may pass are tried again.
    pub retry: bool,
    pub redirects: Redirects,
    /// Its name in errors.
    pub what: String,
}

/// How far one request has come with being let in.
#[derive(Default)]
struct Tried {
    answered: bool,
    renewed: bool,
}

impl Upstream {
    /// A place, which `scope` names to those who have credentials.
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

    /// Where it is, such as `https://registry-1.docker.io`.
    pub(crate) fn base(&self) -> &str {
        &self.transport.endpoint.base
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Is not asked again, because of `why`.
    pub(crate) fn give_up(&self, why: &str) {
        if !self.given_up.swap(true, Ordering::Relaxed) {
            tracing::warn!(mirror = self.base(), image = self.transport.subject.image, why, "a mirror is passed over");
        }
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Who gave the credentials that are shown here; `None` when there are none.
    pub(crate) async fn provider(&self) -> Option<String> {
        self.held.lock().await.grant.as_ref().and_then(Grant::shown_provider)
    }

    /// Sends a request; an answer is a success. A mirror is not asked twice: the registry itself is
    /// the second try.
    pub(crate) async fn send(&self, request: &Request) -> Result<Response, Error> {
        let exchange = Exchange {
            target: Target::Named,
            retry: request.retry && !self.is_mirror,
            redirects: Redirects::Follow,
            what: request.resource.name(),
        };
        self.exchange(exchange, |client, authorization| self.build(client, request, authorization)).await
    }

    /// Sends what `build` makes, with the authorization that the registry wants; the answer is a
    /// success, or a redirect that is to be returned.
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

    /// Where a resource of the repository is.
    pub(crate) fn url(&self, resource: &Resource) -> String {
        format!("{}/v2/{}", self.base(), resource.path(&self.scope.repository))
    }

    /// What to show now; a credential whose time is over is replaced first.
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
                    // The clocks differ; whether it counts is for the registry to say.
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

    /// Gets what a challenge asks for, with the credential at hand and, where that was in vain,
    /// with a new one. Gives whether it is worth asking again.
    async fn answer(
        &self,
        challenge: &Challenge,
        origin: Option<Origin>,
        turn: u64,
        tried: &mut Tried,
    ) -> Result<bool, Error> {
        let mut held = self.held.lock().await;
        if held.turn != turn {
            // Another request of this image was refused for the same reason, and has got something
            // new.
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
        // A credential that is sent as it is needs no challenge.
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
