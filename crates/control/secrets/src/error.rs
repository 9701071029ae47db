//! Errors of the functions' secrets. No variant shows a value.

use std::path::PathBuf;

use types::SecretKey;

/// What failed, on which secret, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store failed or refused the operation.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The value is empty.
    #[error("the value of secret {key} is empty; give it in a file or on standard input")]
    Empty {
        /// The secret.
        key: SecretKey,
    },
    /// The value is too long.
    #[error("the value of secret {key} has {bytes} bytes; at most {bytes_max} are allowed ([secrets] value_bytes_max)")]
    TooLong {
        /// The secret.
        key: SecretKey,
        /// Bytes of the value.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Both a key file and a key command are configured.
    #[error(
        "the key of secrets is given more than once; keep one of [secrets] key_file, [secrets] key_command and \
         SAMPAN_SECRETS_KEY_FILE"
    )]
    TwoKeys,
    /// The audit log failed.
    #[error("cannot {operation} the audit log {}", path.display())]
    Audit {
        /// A verb.
        operation: &'static str,
        /// Its file.
        path: PathBuf,
        /// Error of the kernel.
        source: std::io::Error,
    },
    /// A sealed value cannot be decrypted.
    #[error(
        "version {version} of secret {key} in {} cannot be decrypted: the installation's key is another one, or the \
         database was changed; restore the key that sealed it (docs/BACKUP.md)", database.display()
    )]
    Sealed {
        /// The secret.
        key: SecretKey,
        /// Its version.
        version: u32,
        /// File of the database.
        database: PathBuf,
    },
}
