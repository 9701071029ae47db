//! Why a manifest, an index or a config cannot be used, and what to do about it.

use types::Digest;

use crate::{Descriptor, PLATFORM, processor_level};

/// Why a manifest, an index or a config cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No JSON, or not of the shape the specification gives.
    #[error("its {document} is not valid: {reason}")]
    Invalid {
        /// `manifest` or `config`.
        document: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Docker's schema 1, which has no digests of its own.
    #[error("its manifest has the retired Docker schema 1")]
    SchemaOne,
    /// A layer that other registries keep, or that may not be distributed, and that is not here.
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
    /// An artifact that is no container image.
    #[error("it is not a container image: {what} has media type {media_type:?}")]
    NotAnImage {
        /// `config` or `layer` with its digest.
        what: String,
        /// The media type.
        media_type: String,
    },
    /// Made for other machines.
    #[error("it is not made for {PLATFORM} but for {}{}", has.join(", "), processor_note(has))]
    Platform {
        /// The platforms that it is made for.
        has: Vec<String>,
    },
}

impl Error {
    /// What a user can do about it, as a sentence.
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

    /// What it means that a non-distributable layer is nowhere.
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

/// Where only the variant does not fit: which one would.
fn processor_note(has: &[String]) -> String {
    let amd64 = has.iter().any(|name| name.starts_with(PLATFORM));
    if amd64 { format!(" (this processor runs variants up to v{})", processor_level()) } else { String::new() }
}
