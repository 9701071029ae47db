//! Carries out the commands of the registries' administrative endpoint: adds, lists, removes and
//! tests registries.

use std::sync::Arc;

use http::StatusCode;
use registry_client::{Asked, Credentials, ProbedPlace};
use types::admin::registries::{Command, Refused, Reply, Tested, TestedPlace};
use types::{ImageRef, error_chain};

use crate::{Error, Registries, host};

/// The administration of the registries.
pub struct Administration {
    registries: Registries,
    /// Credentials as in a pull, including those of the platform's registry.
    credentials: Arc<dyn Credentials>,
    client: registry_client::Config,
}

impl Administration {
    /// Tests of registries use `credentials` and the limits of `client`.
    pub fn new(registries: Registries, credentials: Arc<dyn Credentials>, client: registry_client::Config) -> Self {
        Self { registries, credentials, client }
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// The error to answer with; nothing has changed then.
    pub async fn run(&self, command: Command) -> Result<Reply, Refused> {
        match command {
            Command::Add(addition) => {
                let host = addition.host.clone();
                self.registries.add(addition).await.map_err(refusal)?;
                tracing::info!(host, "a registry was added");
                Ok(Reply::Changed {})
            }
            Command::List {} => Ok(Reply::Registries(self.registries.list())),
            Command::Remove { host } => {
                self.registries.remove(&host).await.map_err(refusal)?;
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

fn refused(status: StatusCode, message: impl Into<String>) -> Refused {
    Refused { status: status.as_u16(), message: message.into() }
}

fn tested(place: ProbedPlace) -> TestedPlace {
    let ProbedPlace { endpoint, is_mirror, provider, outcome } = place;
    let (digest, code, error) = match outcome {
        Ok(digest) => (digest.map(|digest| digest.to_string()), None, None),
        Err(error) => (None, Some(error.code().to_owned()), Some(error.report())),
    };
    TestedPlace { endpoint, mirror: is_mirror, provider, digest, code, error }
}

/// A test that failed before a request was sent.
fn failed(target: &str, error: &registry_client::Error) -> TestedPlace {
    let (code, error) = (Some(error.code().to_owned()), Some(error.report()));
    TestedPlace { endpoint: target.to_owned(), mirror: false, provider: None, digest: None, code, error }
}

fn refusal(error: Error) -> Refused {
    let status = match &error {
        Error::Invalid { .. } => StatusCode::BAD_REQUEST,
        Error::Unknown { .. } => StatusCode::NOT_FOUND,
        _ => {
            tracing::error!(error = error_chain(&error), "cannot change the registries");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    refused(status, error_chain(&error))
}
