//! The handler of the administrative endpoint.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use http::header::HOST;
use http::request::Parts;
use jiff::Timestamp;
use registry_client::{Asked, Credentials, ProbedPlace};
use signature::{Clock, Rejection, Secrets, tc3};
use types::ImageRef;
use types::admin::registries::{ACTION, Answer, Command, PATH, Refused, Reply, Tested, TestedPlace};

use crate::{Error, Registries, host};

struct Admin {
    registries: Registries,
    secrets: Secrets,
    clock_window_s: u64,
    /// All providers of a pull, the platform's registry included.
    credentials: Arc<dyn Credentials>,
    client: registry_client::Config,
}

/// Serves [`PATH`] for requests signed with `secrets`; tests of registries use `credentials` and
/// the limits of `client`.
pub fn router(
    registries: Registries,
    secrets: Secrets,
    clock_window_s: u64,
    credentials: Arc<dyn Credentials>,
    client: registry_client::Config,
) -> Router {
    let admin = Admin { registries, secrets, clock_window_s, credentials, client };
    Router::new().route(PATH, post(serve)).with_state(Arc::new(admin))
}

async fn serve(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (status, answer) = match admin.answer(&parts, body).await {
        Ok(reply) => (StatusCode::OK, Answer::Done(reply)),
        Err(refused) => {
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, Answer::Refused(refused))
        }
    };
    (status, Json(answer)).into_response()
}

fn refused(status: StatusCode, message: impl Into<String>) -> Refused {
    Refused { status: status.as_u16(), message: message.into() }
}

fn stranger(rejection: Rejection) -> Refused {
    refused(StatusCode::UNAUTHORIZED, rejection.to_string())
}

impl Admin {
    async fn answer(&self, parts: &Parts, body: Body) -> Result<Reply, Refused> {
        let config = &self.registries.inner.config;
        // Check the signature's header before reading the body.
        tc3::check_head(&parts.headers, &self.secrets, self.clock()).map_err(stranger)?;
        if parts.headers.get("x-tc-action").is_none_or(|action| action != ACTION) {
            return Err(refused(StatusCode::BAD_REQUEST, format!("the request is not for the action {ACTION}")));
        }
        let read = tokio::time::timeout(config.admin_body_timeout(), to_bytes(body, config.admin_body_bytes_max)).await;
        let late = |_| refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
        let too_long = |_| {
            let message = format!("the body broke off, or is longer than {} bytes", config.admin_body_bytes_max);
            refused(StatusCode::BAD_REQUEST, message)
        };
        let body = read.map_err(late)?.map_err(too_long)?;
        self.check(parts, &body)?;
        // The parser's text could quote a password.
        let unreadable = |error: serde_json::Error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            refused(StatusCode::BAD_REQUEST, format!("the body is no command of this version of sampan ({place})"))
        };
        self.run(serde_json::from_slice(&body).map_err(unreadable)?).await
    }

    /// Refuses requests that are not signed with the key pair.
    fn check(&self, parts: &Parts, body: &[u8]) -> Result<(), Refused> {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let received = tc3::Received { method: "POST", host, query: "", headers: &parts.headers, body };
        tc3::verify(&received, &self.secrets, self.clock()).map_err(stranger)
    }

    fn clock(&self) -> Clock {
        Clock { now_s: Timestamp::now().as_second(), window_s: self.clock_window_s }
    }

    async fn run(&self, command: Command) -> Result<Reply, Refused> {
        match command {
            Command::Add(addition) => {
                let host = addition.host.clone();
                self.registries.add(addition).await.map_err(told)?;
                tracing::info!(host, "a registry was added");
                Ok(Reply::Changed {})
            }
            Command::List {} => Ok(Reply::Registries(self.registries.list())),
            Command::Remove { host } => {
                self.registries.remove(&host).await.map_err(told)?;
                tracing::info!(host, "a registry was removed");
                Ok(Reply::Changed {})
            }
            Command::Test { target, registry_id } => self.test(&target, registry_id.as_deref()).await,
        }
    }

    async fn test(&self, target: &str, registry_id: Option<&str>) -> Result<Reply, Refused> {
        let inner = &self.registries.inner;
        let asked = match host::normal(target) {
            Some(host) if host::means_registry(target, |host| inner.is_known(host)) => Asked::Registry(host),
            _ => {
                let image: Result<ImageRef, _> = target.parse();
                Asked::Image(image.map_err(|error| refused(StatusCode::BAD_REQUEST, error.to_string()))?)
            }
        };
        let shown = match &asked {
            Asked::Image(image) => image.to_string(),
            Asked::Registry(host) => host.clone(),
        };
        let probe = registry_client::probe(&self.client, &self.credentials, &asked, registry_id);
        let probed = tokio::time::timeout(inner.config.test_timeout(), probe).await;
        let late = |_| {
            let limit_s = inner.config.test_timeout_s;
            let message =
                format!("{shown} was not answered for within {limit_s} s; check that this machine reaches it");
            refused(StatusCode::REQUEST_TIMEOUT, message)
        };
        let places = match probed.map_err(late)? {
            Ok(places) => places.into_iter().map(tested).collect(),
            Err(error) => vec![failed(&shown, &error)],
        };
        let ok = places.iter().any(|place: &TestedPlace| place.error.is_none());
        Ok(Reply::Tested(Tested { ok, target: shown, places }))
    }
}

fn tested(place: ProbedPlace) -> TestedPlace {
    let ProbedPlace { endpoint, is_mirror, provider, outcome } = place;
    let (digest, code, error) = match outcome {
        Ok(digest) => (digest.map(|digest| digest.to_string()), None, None),
        Err(error) => (None, Some(error.code().to_owned()), Some(error.report())),
    };
    TestedPlace { endpoint, mirror: is_mirror, provider, digest, code, error }
}

/// A test that failed before any request.
fn failed(target: &str, error: &registry_client::Error) -> TestedPlace {
    let (code, error) = (Some(error.code().to_owned()), Some(error.report()));
    TestedPlace { endpoint: target.to_owned(), mirror: false, provider: None, digest: None, code, error }
}

fn told(error: Error) -> Refused {
    let status = match &error {
        Error::Invalid { .. } => StatusCode::BAD_REQUEST,
        Error::Unknown { .. } => StatusCode::NOT_FOUND,
        _ => {
            tracing::error!(error = causes(&error), "the registries could not be changed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    refused(status, causes(&error))
}

fn causes(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
