//! Sends the requests of a pull without pulling, and reports the result of each mirror and of the
//! registry.

use std::sync::Arc;

use oci::digest_of;
use types::{Digest, ImageRef};

use crate::client::Clients;
use crate::credentials::Credentials;
use crate::manifest::digest_header;
use crate::request::{Request, Resource};
use crate::session::Session;
use crate::transport::AskedPause;
use crate::upstream::Upstream;
use crate::{Config, Error};

/// The subject of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The manifest of an image.
    Image(ImageRef),
    /// Availability and authentication of a registry (`host[:port]`).
    Registry(String),
}

/// The result of one host: a mirror, or the registry itself.
#[derive(Debug, Clone)]
pub struct ProbedPlace {
    /// Scheme and host.
    pub endpoint: String,
    /// Whether it is a mirror.
    pub is_mirror: bool,
    /// Source of the credentials that were sent; `None` without any.
    pub provider: Option<String>,
    /// The digest of the image's manifest; `None` for a probe of a registry.
    pub outcome: Result<Option<Digest>, Error>,
}

/// Probes every host that a pull would use, in its order.
///
/// # Errors
/// Errors of a pull before its first request.
pub async fn probe(
    config: &Config,
    credentials: &Arc<dyn Credentials>,
    asked: &Asked,
    registry_id: Option<&str>,
) -> Result<Vec<ProbedPlace>, Error> {
    let image = match asked {
        Asked::Image(image) => image.clone(),
        Asked::Registry(registry) => {
            ImageRef { registry: registry.clone(), repository: String::new(), tag: None, digest: None }
        }
    };
    let session =
        Session::begin(&Clients::new(config.clone()), credentials, &image, registry_id, &AskedPause::default()).await?;
    let mut places = Vec::new();
    for upstream in session.places() {
        let outcome = match asked {
            Asked::Image(image) => find(upstream, image.reference(), config.manifest_bytes_max).await.map(Some),
            Asked::Registry(_) => upstream.send(&Request::get(Resource::Base)).await.map(|_| None),
        };
        let (endpoint, is_mirror) = (upstream.base().to_owned(), upstream.is_mirror());
        places.push(ProbedPlace { endpoint, is_mirror, provider: upstream.provider().await, outcome });
    }
    Ok(places)
}

/// The digest of a manifest, requested as in a pull.
async fn find(upstream: &Upstream, reference: &str, bytes_max: u64) -> Result<Digest, Error> {
    let request =
        Request { accept: Some(oci::media_type::ACCEPT), ..Request::get(Resource::Manifest(reference.to_owned())) };
    let response = upstream.send(&request).await?;
    let said = digest_header(response.headers());
    let transport = upstream.transport();
    let body = transport.read_body(response, bytes_max).await?;
    let body =
        body.ok_or_else(|| transport.subject.protocol("its manifest is longer than manifest_bytes_max of [image]"))?;
    let actual = digest_of(&body);
    match reference.parse().ok().or(said).filter(|expected: &Digest| *expected != actual) {
        None => Ok(actual),
        Some(expected) => {
            let (registry, image) = (transport.subject.registry.clone(), transport.subject.image.clone());
            Err(Error::WrongContent { registry, image, expected, actual })
        }
    }
}
