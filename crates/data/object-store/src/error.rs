//! Why a bucket cannot be listed.

use std::path::PathBuf;

/// Why a bucket cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is invalid.
    #[error("endpoint {endpoint:?} of the connection is no address of a store: {why}")]
    Endpoint {
        /// The address.
        endpoint: String,
        /// The reason.
        why: String,
    },
    /// The settings have no secret key, or two.
    #[error("the connection needs either secret_key or secret_key_file")]
    Secret,
    /// The file of the secret key.
    #[error("cannot read secret_key_file {}", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The request to the store failed.
    #[error("cannot list bucket {bucket:?} at {endpoint}: {source}")]
    Request {
        /// The bucket.
        bucket: String,
        /// The store.
        endpoint: String,
        /// The cause; never shows the address, which is signed.
        source: reqwest::Error,
    },
    /// The store returned an error.
    #[error("{endpoint} refused to list bucket {bucket:?}: {status} {said}")]
    Refused {
        /// The bucket.
        bucket: String,
        /// The store.
        endpoint: String,
        /// The status of its response.
        status: u16,
        /// The beginning of its response.
        said: String,
    },
    /// The response is not a list.
    #[error("the list of bucket {bucket:?} from {endpoint} cannot be read: {why}")]
    Answer {
        /// The bucket.
        bucket: String,
        /// The store.
        endpoint: String,
        /// The reason.
        why: String,
    },
}
