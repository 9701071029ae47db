//! Registries' credentials: where they come from, and the secrets that are kept for them.
//!
//! Owns the order in which providers are asked ([`Registries`] implements [`image::Credentials`]), what is remembered of
//! their answers, the logins that `sampan registry add` keeps, and the endpoint through which it does ([`admin`]). Must
//! not know functions, how a registry asks for credentials, or our own registry.
//!
//! A pull asks, in this order, and the first that has something answers:
//! 1. the login that is kept for the host: user and password, or the key pair of an enterprise registry, which is
//!    exchanged for a temporary credential (`tcr`);
//! 2. plugins of the kubelet's exec credential-provider protocol whose `matchImages` fit (`plugins`);
//! 3. docker's `config.json` and its helpers ([`image::DockerConfig`]);
//! 4. nobody: the pull is anonymous, unless the image is said to be an enterprise registry's.
//!
//! On disk, below the data directory:
//! ```text
//! secrets.key      0600  32 random bytes in hexadecimal, made on the first start unless SAMPAN_SECRETS_KEY_FILE names
//!                        another file; whoever has it and the next file has the secrets
//! registries.json  0600  what was added, by host: mirrors, authority, login; passwords and keys in it are sealed
//!                        (XChaCha20-Poly1305) under that key, each bound to its host and to all else that is said of it,
//!                        so that none can be moved to another host or sent without TLS
//! ```
//! The file is replaced whole: written beside, synced, renamed, and the directory synced.
#![forbid(unsafe_code)]

pub mod admin;
mod cache;
mod config;
mod error;
mod host;
mod kept;
mod plugins;
mod provide;
mod registries;
mod tcr;
mod turns;

pub use config::{Config, RegistrySettings};
pub use error::Error;
pub use kept::KeyFile;
pub use registries::Registries;
pub use types::Secret;
