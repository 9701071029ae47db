//! Credentials of registries: providers in their order, a cache of their answers, and the sealed
//! store of added logins.
//!
//! [`Registries`] implements [`registry_client::Credentials`]; `sampan registry add` changes it
//! through [`Administration`].
//!
//! A pull asks these providers in order until one has a credential:
//! 1. the sealed store: user and password, or the key pair of an enterprise registry, which is
//!    exchanged for a temporary credential (`tcr`);
//! 2. plugins of the kubelet's exec credential-provider protocol whose `matchImages` match
//!    (`plugins`);
//! 3. docker's `config.json` and its helpers ([`registry_client::DockerConfig`]);
//! 4. none: the pull is anonymous, unless the function names an enterprise registry.
//!
//! On disk, below the data directory:
//! ```text
//! secrets.key      0600  32 random bytes in hexadecimal, generated on the first start unless
//!                        SAMPAN_SECRETS_KEY_FILE names another file; it decrypts the next file
//! registries.json  0600  by host: mirrors, authorities, login. Passwords and keys are encrypted
//!                        (XChaCha20-Poly1305) under that key with the host and all other settings
//!                        as associated data, so that none can be moved to another host or sent
//!                        without TLS
//! ```
//! The file is replaced atomically: written beside, synced, renamed, and the directory synced.
#![forbid(unsafe_code)]

mod administration;
mod cache;
mod config;
mod error;
mod host;
mod key_lock;
mod plugins;
mod providers;
mod registries;
mod sealed_store;
mod tcr;

pub use administration::Administration;
pub use config::{Config, RegistrySettings};
pub use error::Error;
pub use registries::Registries;
pub use sealed_store::{KeyFile, Sealer};
pub use types::Secret;
