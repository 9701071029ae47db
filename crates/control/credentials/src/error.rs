//! Why registries cannot be read, kept or changed. No variant shows a secret.

use std::io;
use std::path::PathBuf;

use crate::plugins::PluginsError;

/// What failed, on what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder failed.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// A verb phrase.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The key file is something else.
    #[error(
        "{} is no key: it must hold 64 hexadecimal digits; restore it, or make one with `openssl rand -hex 32`",
        path.display()
    )]
    BadKey {
        /// The file.
        path: PathBuf,
    },
    /// There is no key for what was sealed with one.
    #[error(
        "the key {} is missing, but {} has secrets that are sealed with it; restore the key, or remove {} and add the \
         registries' logins again", key.display(), file.display(), file.display()
    )]
    MissingKey {
        /// Where it should be.
        key: PathBuf,
        /// What was sealed.
        file: PathBuf,
    },
    /// A key file that was named does not exist.
    #[error(
        "SAMPAN_SECRETS_KEY_FILE names {}, which does not exist; make it with `openssl rand -hex 32`, readable by root alone",
        path.display()
    )]
    NamedKeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// A secret does not open.
    #[error(
        "the secret of registry {host} in {} does not open with the key {}: the file was changed, or the key is another \
         one; restore the right one of the two, or remove {} and add the registries' logins again",
        file.display(), key.display(), file.display()
    )]
    Sealed {
        /// Whose secret.
        host: String,
        /// Where it is.
        file: PathBuf,
        /// The key that was tried.
        key: PathBuf,
    },
    /// The file of registries cannot be read as one.
    #[error(
        "{} is not a file of registries ({reason}); restore it, or remove it and add the registries again", path.display()
    )]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, without anything of its content.
        reason: String,
    },
    /// What is said of a registry is wrong.
    #[error("registry {host}: {reason}")]
    Invalid {
        /// Which.
        host: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Nothing was added for that host.
    #[error("nothing was added for registry {host}; `sampan registry list` shows what was")]
    Unknown {
        /// Which.
        host: String,
    },
    /// The configuration of plugins is wrong.
    #[error("the credential plugins of {} cannot be used", path.display())]
    Plugins {
        /// The configuration.
        path: PathBuf,
        /// Why.
        source: PluginsError,
    },
    /// The work ended without a result: the platform is stopping.
    #[error("{operation} ended without a result")]
    Interrupted {
        /// What was being done.
        operation: &'static str,
    },
}

impl Error {
    pub(crate) fn invalid(host: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { host: host.to_owned(), reason: reason.into() }
    }
}
