//! Errors of log operations. A dropped line is not an error: it is counted and reported in the log.

use std::io;
use std::path::PathBuf;

use types::InstanceId;

/// A failed log operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of the segments could not be created or read.
    #[error("cannot open the log directory {}; check that it is writable and that its disk has room", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Error of the kernel.
        source: io::Error,
    },
    /// A segment could not be read.
    #[error("cannot read the log segment {}", path.display())]
    ReadSegment {
        /// The file.
        path: PathBuf,
        /// Error of the kernel or the decompressor.
        source: io::Error,
    },
    /// The pipes of an instance could not be created.
    #[error("cannot make the output pipes of instance {instance}; check the limit of open files")]
    Attach {
        /// The instance.
        instance: InstanceId,
        /// Error of the kernel.
        source: io::Error,
    },
    /// A cursor that was not returned by [`crate::Logs::lines`].
    #[error("{text:?} is not a cursor of this log; begin again without one")]
    InvalidCursor {
        /// The rejected text.
        text: String,
    },
    /// The logs were shut down.
    #[error("the logs are shut down")]
    Stopped,
}
