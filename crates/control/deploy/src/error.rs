//! Errors that abort a pass.

use types::StatusReason;

/// A failed step of a pass; the next pass retries it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The image of a removed version could not be unpinned.
    #[error("cannot release the image of {owner}: {}: {}", reason.error_code, reason.error_message)]
    Unpin {
        /// Owner of the pin.
        owner: String,
        /// The cause.
        reason: StatusReason,
    },
}
