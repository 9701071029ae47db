//! Requests to a registry: a resource below `/v2/` with method and range.

use reqwest::Method;
use types::Digest;

/// The resource of a request.
#[derive(Debug, Clone)]
pub(crate) enum Resource {
    /// By tag or digest.
    Manifest(String),
    Blob(Digest),
    /// The uploads of blobs.
    Uploads,
    /// The base path, for availability and authentication.
    Base,
}

impl Resource {
    /// Its path below `/v2/`.
    pub(crate) fn path(&self, repository: &str) -> String {
        match self {
            Self::Manifest(reference) => format!("{repository}/manifests/{reference}"),
            Self::Blob(digest) => format!("{repository}/blobs/{digest}"),
            Self::Uploads => format!("{repository}/blobs/uploads/"),
            Self::Base => String::new(),
        }
    }

    /// Its name in errors.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Manifest(reference) => format!("manifest {reference}"),
            Self::Blob(digest) => format!("blob {digest}"),
            Self::Uploads => "uploads of blobs".to_owned(),
            Self::Base => "API of registries below /v2/".to_owned(),
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub method: Method,
    pub resource: Resource,
    pub accept: Option<&'static str>,
    /// Offset of the first byte.
    pub offset: u64,
    /// Whether transient failures are retried.
    pub retry: bool,
}

impl Request {
    pub(crate) fn get(resource: Resource) -> Self {
        Self { method: Method::GET, resource, accept: None, offset: 0, retry: true }
    }
}
