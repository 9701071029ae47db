//! Errors of reading, storing and changing registries. No variant shows a secret.

use std::io;
use std::path::PathBuf;

use crate::plugins::PluginsError;

/// What failed, on what, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder failed.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// A verb phrase.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Error of the kernel.
        source: io::Error,
    },
    /// The key file does not hold a key.
    #[error(
        "{} is not a key: it must hold 64 hexadecimal digits; restore it, or make one with `openssl rand -hex 32`",
        path.display()
    )]
    BadKey {
        /// The file.
        path: PathBuf,
    },
    /// The key of sealed secrets is missing.
    #[error(
        "the key {} is missing, but {} has secrets that are sealed with it; restore the key, or remove {} and add the \
         registries' logins again", key.display(), file.display(), file.display()
    )]
    MissingKey {
        /// Expected path of the key.
        key: PathBuf,
        /// File with the sealed secrets.
        file: PathBuf,
    },
    /// The key of the functions' secrets is missing.
    #[error(
        "the key {} is missing, but {} has secrets of functions that are sealed with it; restore the key from its \
         backup (docs/BACKUP.md)", key.display(), file.display()
    )]
    MissingKeyOfFunctions {
        /// Expected path of the key.
        key: PathBuf,
        /// File with the sealed secrets.
        file: PathBuf,
    },
    /// The command that prints the key failed.
    #[error("[secrets] key_command gave no key: {reason}; it must print the key, 64 hexadecimal digits")]
    KeyCommand {
        /// The problem, without the command's output.
        reason: String,
    },
    /// The key file named by the environment does not exist.
    #[error(
        "the key file {} (SAMPAN_SECRETS_KEY_FILE or [secrets] key_file) does not exist; make it with \
         `openssl rand -hex 32`, readable by root alone",
        path.display()
    )]
    NamedKeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// A secret cannot be decrypted.
    #[error(
        "the secret of registry {host} in {} cannot be decrypted with the key {}: the file was changed, or the key is another \
         one; restore the right one of the two, or remove {} and add the registries' logins again",
        file.display(), key.display(), file.display()
    )]
    Sealed {
        /// Host of the registry.
        host: String,
        /// File with the secret.
        file: PathBuf,
        /// The key that was used.
        key: PathBuf,
    },
    /// The file of registries is malformed.
    #[error(
        "{} is not a file of registries ({reason}); restore it, or remove it and add the registries again", path.display()
    )]
    BadFile {
        /// The file.
        path: PathBuf,
        /// The problem, without any of the content.
        reason: String,
    },
    /// A setting of a registry is invalid.
    #[error("registry {host}: {reason}")]
    Invalid {
        /// Host of the registry.
        host: String,
        /// The problem, and the allowed values.
        reason: String,
    },
    /// No registry was added for the host.
    #[error("nothing was added for registry {host}; `sampan registry list` shows what was")]
    Unknown {
        /// The host.
        host: String,
    },
    /// The configuration of plugins is invalid.
    #[error("the credential plugins of {} cannot be used", path.display())]
    Plugins {
        /// The configuration file or folder.
        path: PathBuf,
        /// The cause.
        source: PluginsError,
    },
    /// The blocking task was cancelled: the platform is stopping.
    #[error("{operation} ended without a result")]
    Interrupted {
        /// The operation.
        operation: &'static str,
    },
}

impl Error {
    pub(crate) fn invalid(host: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { host: host.to_owned(), reason: reason.into() }
    }
}
