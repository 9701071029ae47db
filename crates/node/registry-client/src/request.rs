//! Requests to a registry: a resource below `/v2/`, and how it is wanted.

use reqwest::Method;
use types::Digest;

/// What a request is for.
#[derive(Debug, Clone)]
pub(crate) enum Resource {
    /// By tag or digest.
    Manifest(String),
    Blob(Digest),
    /// The uploads of blobs.
    Uploads,
    /// Nothing but whether a registry is there and lets in.
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
    /// First byte that is wanted.
    pub offset: u64,
    /// Whether failures that may pass are tried again.
    pub retry: bool,
}

impl Request {
    pub(crate) fn get(resource: Resource) -> Self {
        Self { method: Method::GET, resource, accept: None, offset: 0, retry: true }
    }
}
