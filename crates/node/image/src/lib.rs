//! Images: pulled, verified, kept by digest, and made into root file systems.
//!
//! Owns the content store (`content`, whose `layout` draws what is on disk), the registry client (`pull`), the
//! unpacked layers (`layers`, `unpack`) and their garbage collection (`gc`); `prepare` puts them in order, [`Images`]
//! is the handle. Must not know functions: it sees image references, digests, and owners, which are opaque texts that
//! pin content.
//!
//! Unpacking needs root (owners, devices, `trusted` attributes), Linux 5.6 (`openat2`), and a file system with extended
//! attributes.
#![forbid(unsafe_code)]

mod blocking;
mod config;
mod content;
mod credentials;
mod error;
mod flight;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gc;
mod image_config;
mod images;
mod layers;
mod manifest;
mod prepare;
mod progress;
mod pull;
mod rootfs;
mod unpack;

pub use config::Config;
pub use content::{ContentStore, Lease, Upload};
pub use credentials::{Anonymous, Credential, CredentialError, Credentials, DockerConfig};
pub use error::Error;
pub use gc::Collected;
pub use image_config::RunConfig;
pub use images::Images;
pub use manifest::ManifestError;
pub use prepare::{PrepareRequest, Prepared};
pub use progress::{Progress, ProgressListener, Step};
pub use rootfs::Rootfs;
pub use unpack::LayerError;
