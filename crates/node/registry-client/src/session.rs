//! Pulls of one repository for one preparation: the mirrors in their order, then the registry.
//!
//! The registry's errors are the ones that are returned. A mirror that is unreachable, refuses a
//! request or sends wrong content is skipped for the rest of the preparation; one that lacks a
//! resource is skipped for that resource. Content requested by digest is verified, so a mirror
//! cannot forge it; tags are resolved by mirrors, as docker and podman do.

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

/// A response and the upstream that sent it.
pub(crate) struct Answer<'a> {
    pub response: Response,
    pub upstream: &'a Upstream,
}

impl Session {
    /// Determines the upstreams, and gets the credentials of the first one; sends no request yet.
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
            // Mirrors do not get the registry's credentials.
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

    /// Every upstream, in order.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Upstream> {
        self.mirrors.iter().chain([&self.registry])
    }

    /// Registry and image that errors name.
    pub(crate) fn subject(&self) -> &Subject {
        &self.registry.transport().subject
    }

    /// The policy of the registry itself.
    pub(crate) fn policy(&self) -> &RetryPolicy {
        &self.registry.transport().policy
    }

    /// The minimum throughput of a transfer.
    pub(crate) fn throughput(&self) -> ThroughputMin {
        self.registry.transport().throughput
    }

    /// Whether content may come from a mirror and must be verified.
    pub(crate) fn has_mirrors(&self) -> bool {
        self.mirrors.iter().any(|mirror| !mirror.is_given_up())
    }

    /// Skips the mirrors from now on.
    pub(crate) fn give_up_mirrors(&self, why: &str) {
        self.mirrors.iter().for_each(|mirror| mirror.give_up(why));
    }

    /// Sends a request to the upstreams until one succeeds; a returned response is a success.
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

    /// The error of content with another digest than `expected`.
    pub fn wrong_content(&self, expected: Digest, actual: Digest) -> Error {
        let (registry, image) = (self.image.registry.clone(), self.image.to_string());
        Error::WrongContent { registry, image, expected, actual }
    }
}
