//! The documents of container images (OCI image specification 1.1, Docker image manifest version 2
//! schema 2): manifests, indexes, configs, platforms and media types.
//!
//! One model for pulling, storing, serving and pushing images. It uses serde structures of its own
//! rather than `oci-spec`: that crate rejects a whole index for one entry without `mediaType`, `os`
//! or `architecture`, which exist in registries, and its errors name no field.
//!
//! - [`Fields::read`] returns a document as written, for a registry, which applies its own rules;
//! - [`Document::read`] returns an index or a manifest that cannot be mistaken for the other, for a
//!   client that runs it;
//! - [`references`] returns the digests that any document names, for garbage collection.
#![forbid(unsafe_code)]

mod compression;
mod config;
mod descriptor;
mod digest;
mod error;
mod fields;
mod manifest;
pub mod media_type;
mod platform;
mod references;
mod stop_signal;

pub use compression::Compression;
pub use config::{ImageConfig, RunConfig};
pub use descriptor::{Descriptor, RawDescriptor};
pub use digest::{chain_id, digest_of};
pub use error::Error;
pub use fields::Fields;
pub use manifest::{Document, Index, Manifest};
pub use platform::{PLATFORM, Platform, processor_level};
pub use references::{References, references};
