//! One repository on behalf of one preparation: the places that have it, in the order in which they are asked. Must not
//! know what manifests mean, or how a place lets in.
//!
//! Mirrors come first and the registry itself last, whose errors are the ones that are told. A mirror that cannot be
//! reached, refuses or sends something else than was asked for is passed over for the rest of the preparation; one that
//! lacks something is passed over for that alone. What is asked for by digest is checked, so no mirror can lie about
//! it; what a tag means is taken from a mirror as docker and podman take it.

use std::sync::Arc;

use reqwest::Response;
use types::{Digest, ImageRef};

use super::ask::Ask;
use super::client::{Clients, Target};
use super::endpoint::Endpoint;
use super::pace::PaceLimit;
use super::refusal::Subject;
use super::retry::RetryPolicy;
use super::route::Route;
use super::wire::{AskedPause, Wire};
use crate::credentials::{CredentialRequest, Credentials};
use crate::{Config, Error};

/// One repository.
pub(crate) struct Session {
    mirrors: Vec<Route>,
    registry: Route,
    image: ImageRef,
}

/// An answer and where it came from.
pub(super) struct Answer<'a> {
    pub response: Response,
    pub route: &'a Route,
}

impl Session {
    /// Finds the places, and asks for the credentials of the one that comes first; nothing is sent to any of them yet.
    pub(crate) async fn begin(
        clients: &Clients,
        config: &Config,
        credentials: &Arc<dyn Credentials>,
        image: &ImageRef,
        registry_id: Option<&str>,
        asked_pause: &AskedPause,
    ) -> Result<Self, Error> {
        let place = |endpoint: Endpoint, name: &str, repository: String, is_mirror: bool| {
            let subject = Subject::new(name, image, endpoint.plain);
            // A broken setting of it is told before anybody is asked.
            clients.client(&endpoint, Target::Named).map_err(|error| subject.unreachable(error))?;
            let (policy, answer_bytes_max) = (RetryPolicy::new(config), config.answer_bytes_max);
            let (pace, asked_pause) = (PaceLimit::new(config), asked_pause.clone());
            let wire =
                Wire { clients: clients.clone(), endpoint, subject, policy, answer_bytes_max, pace, asked_pause };
            // The password of a registry is none of its mirrors' business.
            let registry_id = registry_id.filter(|_| !is_mirror).map(str::to_owned);
            let request = CredentialRequest { registry: name.to_owned(), repository, registry_id, renew: false };
            Ok(Route::new(wire, request, credentials.clone(), is_mirror))
        };
        let reach = credentials.reach(&image.registry);
        let mirrors = reach.mirrors.iter().map(|mirror| {
            let endpoint = Endpoint::of_mirror(mirror, &credentials.reach(&mirror.host));
            place(endpoint, &mirror.host, mirror.repository(&image.repository), true)
        });
        let mirrors: Vec<Route> = mirrors.collect::<Result<_, Error>>()?;
        let endpoint = Endpoint::of_registry(&image.registry, &reach, config);
        let registry = place(endpoint, &image.registry, image.repository.clone(), false)?;
        let session = Self { mirrors, registry, image: image.clone() };
        if session.mirrors.is_empty() {
            session.registry.ready().await?;
        }
        Ok(session)
    }

    /// Every place, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = &Route> {
        self.mirrors.iter().chain([&self.registry])
    }

    /// Whom errors name.
    pub(super) fn subject(&self) -> &Subject {
        &self.registry.wire().subject
    }

    /// The policy of the registry itself.
    pub(super) fn policy(&self) -> &RetryPolicy {
        &self.registry.wire().policy
    }

    /// The least that a transfer must bring.
    pub(super) fn pace(&self) -> PaceLimit {
        self.registry.wire().pace
    }

    /// Whether content may come from a mirror, and so must be checked before it counts.
    pub(super) fn has_mirrors(&self) -> bool {
        self.mirrors.iter().any(|mirror| !mirror.is_given_up())
    }

    /// From now on the registry itself is asked.
    pub(super) fn give_up_mirrors(&self, why: &str) {
        self.mirrors.iter().for_each(|mirror| mirror.give_up(why));
    }

    /// Sends a request to the first place that answers it; an answer is a success.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Answer<'_>, Error> {
        for mirror in self.mirrors.iter().filter(|mirror| !mirror.is_given_up()) {
            match mirror.send(ask).await {
                Ok(response) => return Ok(Answer { response, route: mirror }),
                Err(Error::NotFound { .. } | Error::Refused { status: 416, .. }) => {}
                Err(error) => mirror.give_up(&error.report()),
            }
        }
        let response = self.registry.send(ask).await?;
        Ok(Answer { response, route: &self.registry })
    }

    /// Content that came for `expected` and is something else.
    pub(crate) fn wrong_content(&self, expected: Digest, actual: Digest) -> Error {
        let (registry, image) = (self.image.registry.clone(), self.image.to_string());
        Error::WrongContent { registry, image, expected, actual }
    }
}
