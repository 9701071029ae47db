//! Errors that end a pass.

use types::StatusReason;

/// A step of a pass that failed; the next pass tries it again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The store did not answer or did not take an end.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An image is still kept for a version that is gone.
    #[error("cannot release the image of {owner}: {}: {}", reason.error_code, reason.error_message)]
    Unpin {
        /// Whose pin it is.
        owner: String,
        /// Why.
        reason: StatusReason,
    },
}
