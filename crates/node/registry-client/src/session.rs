//! One repository on behalf of one preparation: the places that have it, in the order in which they
//! are asked.
//!
//! Mirrors come first and the registry itself last, whose errors are the ones that are told. A
//! mirror that cannot be reached, refuses or sends something else than was asked for is passed over
//! for the rest of the preparation; one that lacks something is passed over for that alone. What is
//! asked for by digest is checked, so no mirror can lie about it; what a tag means is taken from a
//! mirror as docker and podman take it.

use std::sync::Arc;

use reqwest::Response;
use types::{Digest, ImageRef};

use crate::Error;
use crate::client::Clients;
use crate::credentials::{CredentialRequest, Credentials};
use crate::endpoint::Endpoint;
use crate::error_response::Subject;
use crate::request::Request;
use crate::retry::RetryPolicy;
use crate::throughput::ThroughputMin;
use crate::transport::{AskedPause, Transport};
use crate::upstream::Upstream;

/// One repository.
pub struct Session {
    mirrors: Vec<Upstream>,
    registry: Upstream,
    image: ImageRef,
}

/// An answer and where it came from.
pub(crate) struct Answer<'a> {
    pub response: Response,
    pub upstream: &'a Upstream,
}

impl Session {
    /// Finds the places, and asks for the credentials of the one that comes first; nothing is sent
    /// to any of them yet.
    ///
    /// # Errors
    /// `Credentials`; `Unreachable` where a certificate authority cannot be read.
    pub async fn begin(
        clients: &Clients,
        credentials: &Arc<dyn Credentials>,
        image: &ImageRef,
        registry_id: Option<&str>,
        asked_pause: &AskedPause,
    ) -> Result<Self, Error> {
        let config = clients.config();
        let place = |endpoint: Endpoint, name: &str, repository: String, is_mirror: bool| {
            let subject = Subject::new(name, image, endpoint.plain);
            let transport = Transport::new(clients, endpoint, subject, asked_pause.clone())?;
            // The password of a registry is none of its mirrors' business.
            let registry_id = registry_id.filter(|_| !is_mirror).map(str::to_owned);
            let request = CredentialRequest { registry: name.to_owned(), repository, registry_id, renew: false };
            Ok(Upstream::new(transport, request, credentials.clone(), is_mirror))
        };
        let host = credentials.host_config(&image.registry);
        let mirrors = host.mirrors.iter().map(|mirror| {
            let endpoint = Endpoint::of_mirror(mirror, &credentials.host_config(&mirror.host));
            place(endpoint, &mirror.host, mirror.repository(&image.repository), true)
        });
        let mirrors: Vec<Upstream> = mirrors.collect::<Result<_, Error>>()?;
        let endpoint = Endpoint::of_registry(&image.registry, &host, config);
        let registry = place(endpoint, &image.registry, image.repository.clone(), false)?;
        let session = Self { mirrors, registry, image: image.clone() };
        if session.mirrors.is_empty() {
            session.registry.ready().await?;
        }
        Ok(session)
    }

    /// Every place, in order.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Upstream> {
        self.mirrors.iter().chain([&self.registry])
    }

    /// Whom errors name.
    pub(crate) fn subject(&self) -> &Subject {
        &self.registry.transport().subject
    }

    /// The policy of the registry itself.
    pub(crate) fn policy(&self) -> &RetryPolicy {
        &self.registry.transport().policy
    }

    /// The least that a transfer must bring.
    pub(crate) fn throughput(&self) -> ThroughputMin {
        self.registry.transport().throughput
    }

    /// Whether content may come from a mirror, and so must be checked before it counts.
    pub(crate) fn has_mirrors(&self) -> bool {
        self.mirrors.iter().any(|mirror| !mirror.is_given_up())
    }

    /// From now on the registry itself is asked.
    pub(crate) fn give_up_mirrors(&self, why: &str) {
        self.mirrors.iter().for_each(|mirror| mirror.give_up(why));
    }

    /// Sends a request to the first place that answers it; an answer is a success.
    pub(crate) async fn send(&self, request: &Request) -> Result<Answer<'_>, Error> {
        for mirror in self.mirrors.iter().filter(|mirror| !mirror.is_given_up()) {
            match mirror.send(request).await {
                Ok(response) => return Ok(Answer { response, upstream: mirror }),
                Err(Error::NotFound { .. } | Error::Refused { status: 416, .. }) => {}
                Err(error) => mirror.give_up(&error.report()),
            }
        }
        let response = self.registry.send(request).await?;
        Ok(Answer { response, upstream: &self.registry })
    }

    /// Content that came for `expected` and is something else.
    pub fn wrong_content(&self, expected: Digest, actual: Digest) -> Error {
        let (registry, image) = (self.image.registry.clone(), self.image.to_string());
        Error::WrongContent { registry, image, expected, actual }
    }
}
