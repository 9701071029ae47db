//! Errors of secrets.

use types::SecretKey;

/// A refused change of a secret, or a reference to none.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No such secret.
    #[error("there is no secret {} in namespace {}; set it with `sampan secret set`", key.name, key.namespace)]
    NotFound {
        /// The secret.
        key: SecretKey,
    },
    /// The secret has no such version (any more).
    #[error("secret {key} has no version {version}; `sampan secret versions` lists what it has")]
    VersionNotFound {
        /// The secret.
        key: SecretKey,
        /// The version.
        version: u32,
    },
    /// Its value is not what a variable can have.
    #[error(
        "the value of secret {key} is not UTF-8, or has a NUL, and {of} has it in a variable; give it as a file with \
         --secret-file"
    )]
    NotText {
        /// The secret.
        key: SecretKey,
        /// The function, or a version of it.
        of: String,
    },
    /// Functions have the secret.
    #[error(
        "secret {key} is used by {}; deploy without it, and delete published versions that have it (`sampan delete \
         NAME:VERSION`), first",
        users.join(", ")
    )]
    InUse {
        /// The secret.
        key: SecretKey,
        /// Versions of functions.
        users: Vec<String>,
    },
    /// As many secrets as may be.
    #[error("there are {secrets_max} secrets already; delete one that is not needed or raise [secrets] secrets_max")]
    TooMany {
        /// The limit.
        secrets_max: usize,
    },
    /// All values together are larger than may be.
    #[error(
        "all secrets together would have more than {bytes_max} bytes with this value of {key}; delete versions that \
         are not needed or raise [secrets] bytes_max"
    )]
    TooLarge {
        /// The secret.
        key: SecretKey,
        /// The limit.
        bytes_max: u64,
    },
    /// The secret has as many versions as may be, and each is needed.
    #[error(
        "secret {key} has {versions_max} versions and functions are pinned to all of them; deploy one of those with \
         another version or raise [secrets] versions_max"
    )]
    VersionsPinned {
        /// The secret.
        key: SecretKey,
        /// The limit.
        versions_max: usize,
    },
}
