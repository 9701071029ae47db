//! The client of registries (OCI distribution specification): manifests and blobs by reference and
//! digest, with credentials, mirrors, redirects and retries.
//!
//! How to use: a [`Session`] for each image, begun with the [`Clients`] of the process and a source
//! of [`Credentials`]; then [`resolve`], [`fetch_manifest`] and [`transfer`]. [`probe`] sends
//! the requests of a pull without pulling. A [`PushSession`] uploads blobs and manifests.
//!
//! ```text
//! manifest, blob, probe       push
//!   ─> session: mirrors, then the registry
//!     ─> upstream: one host, its credentials
//!       ─> transport: retries, bounds, error responses
//! ```
//! [`Destinations`] restricts the addresses of redirects, token servers and upload locations.
#![forbid(unsafe_code)]

mod address_range;
mod auth;
mod blob;
mod client;
mod config;
mod credentials;
mod destination;
mod endpoint;
mod error;
mod error_response;
mod host_config;
mod manifest;
mod probe;
mod push;
mod redirect;
mod request;
mod retry;
mod session;
mod throughput;
mod token;
mod transport;
mod upstream;

pub use address_range::{AddressRange, InvalidAddressRange};
pub use blob::{Sink, TransferError, transfer};
pub use client::Clients;
pub use config::Config;
pub use credentials::{Anonymous, Credential, CredentialError, CredentialRequest, Credentials, DockerConfig, Grant};
pub use destination::{Destinations, Origin, RefusedDestination, Resolver, special};
pub use error::Error;
pub use host_config::{HostConfig, InvalidMirror, Mirror};
pub use manifest::{fetch_manifest, resolve};
pub use probe::{Asked, ProbedPlace, probe};
pub use push::PushSession;
pub use session::Session;
pub use transport::AskedPause;
