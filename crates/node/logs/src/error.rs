//! What can go wrong with logs. Losing a line is no error: it is counted and said in the log.

use std::io;
use std::path::PathBuf;

use types::InstanceId;

/// Why a log operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory of the segments could not be made or read.
    #[error("cannot open the log directory {}; check that it is writable and that its disk has room", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A segment could not be read.
    #[error("cannot read the log segment {}", path.display())]
    ReadSegment {
        /// The file.
        path: PathBuf,
        /// What the kernel or the decompressor said.
        source: io::Error,
    },
    /// The pipes of an instance could not be made.
    #[error("cannot make the output pipes of instance {instance}; check the limit of open files")]
    Attach {
        /// The instance.
        instance: InstanceId,
        /// What the kernel said.
        source: io::Error,
    },
    /// A query would have to read too much.
    #[error("the query reaches more than {bytes_max} bytes of old logs; ask for a later start time")]
    ScanTooLarge {
        /// `scan_bytes_max`.
        bytes_max: u64,
    },
    /// A query matches too many invocations to sort.
    #[error("the query matches more than {invocations_max} old invocations; ask for a shorter time or one function")]
    TooManyMatches {
        /// `index_invocations_max`.
        invocations_max: usize,
    },
    /// A cursor that no answer of [`crate::Logs::lines`] carried.
    #[error("{text:?} is no cursor of this log; begin again without one")]
    InvalidCursor {
        /// The refused text.
        text: String,
    },
    /// The logs were shut down.
    #[error("the logs are shut down")]
    Stopped,
}
