//! Errors of manifests, indexes and configs, with remedies.

use types::Digest;

use crate::{Descriptor, PLATFORM, processor_level};

/// An error of a manifest, an index or a config.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Invalid JSON, or a shape that violates the specification.
    #[error("its {document} is not valid: {reason}")]
    Invalid {
        /// `manifest` or `config`.
        document: &'static str,
        /// The problem.
        reason: String,
    },
    /// Docker's schema 1, which has no digests of its own.
    #[error("its manifest has the retired Docker schema 1")]
    SchemaOne,
    /// A layer that only other registries have, or that may not be distributed, and that is not
    /// stored.
    #[error("layer {digest} is not distributed with the image ({media_type})")]
    Foreign {
        /// The layer.
        digest: Digest,
        /// Its media type.
        media_type: String,
    },
    /// An encrypted layer.
    #[error("layer {digest} is encrypted ({media_type})")]
    Encrypted {
        /// The layer.
        digest: Digest,
        /// Its media type.
        media_type: String,
    },
    /// An artifact that is not a container image.
    #[error("it is not a container image: {what} has media type {media_type:?}")]
    NotAnImage {
        /// `config` or `layer` with its digest.
        what: String,
        /// The media type.
        media_type: String,
    },
    /// An image for other platforms.
    #[error("it is not made for {PLATFORM} but for {}{}", has.join(", "), processor_note(has))]
    Platform {
        /// The image's platforms.
        has: Vec<String>,
    },
}

impl Error {
    /// The remedy for a user, as a sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "Build and push the image again.",
            Self::SchemaOne => "Push the image again with a current tool, or copy it with `skopeo copy --format v2s2`.",
            Self::Foreign { .. } => {
                "Build the image on a base whose layers are all in the registry, or push the layer too \
                 (docker's allow-nondistributable-artifacts)."
            }
            Self::Encrypted { .. } => "Push the image without encryption.",
            Self::NotAnImage { .. } => "Name a container image; other artifacts cannot run.",
            Self::Platform { .. } => {
                "Build the image for linux/amd64, with docker: `docker build --platform linux/amd64`."
            }
        }
    }

    /// The error of a non-distributable layer that was not found.
    pub fn foreign(layer: &Descriptor) -> Self {
        Self::Foreign { digest: layer.digest.clone(), media_type: layer.media_type.clone() }
    }

    pub(crate) fn manifest(reason: impl Into<String>) -> Self {
        Self::Invalid { document: "manifest", reason: reason.into() }
    }

    pub(crate) fn config(reason: impl Into<String>) -> Self {
        Self::Invalid { document: "config", reason: reason.into() }
    }
}

/// Names the variants that this processor runs, if only the variant does not match.
fn processor_note(has: &[String]) -> String {
    let amd64 = has.iter().any(|name| name.starts_with(PLATFORM));
    if amd64 { format!(" (this processor runs variants up to v{})", processor_level()) } else { String::new() }
}
