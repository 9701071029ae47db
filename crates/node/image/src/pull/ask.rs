//! What a registry can be asked for. Pure.

use reqwest::Method;
use types::Digest;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// By tag or digest.
    Manifest(String),
    Blob(Digest),
    /// Nothing but whether a registry is there and lets in.
    Base,
}

impl Target {
    /// Its path below `/v2/`.
    pub(super) fn path(&self, repository: &str) -> String {
        match self {
            Self::Manifest(reference) => format!("{repository}/manifests/{reference}"),
            Self::Blob(digest) => format!("{repository}/blobs/{digest}"),
            Self::Base => String::new(),
        }
    }

    /// Its name in errors.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Manifest(reference) => format!("manifest {reference}"),
            Self::Blob(digest) => format!("blob {digest}"),
            Self::Base => "API of registries below /v2/".to_owned(),
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub method: Method,
    pub target: Target,
    pub accept: Option<&'static str>,
    /// First byte that is wanted.
    pub offset: u64,
    /// Whether failures that may pass are tried again.
    pub retry: bool,
}

impl Ask {
    pub(super) fn get(target: Target) -> Self {
        Self { method: Method::GET, target, accept: None, offset: 0, retry: true }
    }
}
