//! Failures of the queue, with the event or file concerned.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use types::{FunctionKey, RequestId};

/// Why the queue refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is out of its bounds.
    #[error("{key} = {value} is not allowed; use {min} to {max}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: u64,
        /// The least that is allowed.
        min: u64,
        /// The most.
        max: u64,
    },
    /// The file cannot be opened.
    #[error(
        "cannot open the queue of events {path}; if it is damaged, move it away with its -wal and -shm files and start \
         again: the events in it are lost then"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: rusqlite::Error,
    },
    /// The file cannot be created, or its mode cannot be set.
    #[error("cannot make the queue of events {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file's schema is newer than this program.
    #[error(
        "the queue of events has schema {found}, this version of sampan knows up to {known}; start the newer version \
         that wrote it, or move the file away and lose its events"
    )]
    NewerSchema {
        /// The schema of the file.
        found: i64,
        /// The newest supported schema.
        known: i64,
    },
    /// No space is left in the file system, or the file's size limit is reached.
    #[error("the file system of the queue of events is full; it takes events again once there is room")]
    DiskFull,
    /// A statement or the commit failed; the change was rolled back.
    #[error("cannot write to the queue of events: {0}")]
    Write(String),
    /// A page of the file is damaged; nothing is written any more.
    #[error(
        "the queue of events is damaged: {0}; stop the platform and move events.db away with its -wal and -shm files \
         (docs/BACKUP.md)"
    )]
    Damaged(String),
    /// A read failed.
    #[error("cannot read the queue of events")]
    Read(#[source] rusqlite::Error),
    /// A commit could not be made durable: the state of the disk is unknown until the next start.
    #[error("the queue of events accepts no more events until a restart: {0}")]
    Halted(String),
    /// The file system is nearly full.
    #[error(
        "the file system of the queue of events has {free} bytes left; new events are refused below {min} \
         (events.disk_free_bytes_min)"
    )]
    DiskNearlyFull {
        /// Free bytes.
        free: u64,
        /// Required free bytes.
        min: u64,
    },
    /// A limit of waiting events is reached.
    #[error("{subject} has {limit} waiting {unit}, as many as {key} allows; try again later")]
    Full {
        /// The function, or the installation.
        subject: String,
        /// The limit.
        limit: u64,
        /// `events` or `bytes of events`.
        unit: &'static str,
        /// Its setting.
        key: &'static str,
    },
    /// An event with that id exists already.
    #[error("request {0} is in the queue of events already")]
    Duplicate(RequestId),
    /// No such event.
    #[error("there is no event {0}: it was never accepted, or its state is no longer kept")]
    NotFound(RequestId),
    /// The event has ended.
    #[error("event {0} has ended already")]
    Ended(RequestId),
    /// The function of a dead letter was deleted.
    #[error(
        "event {id} cannot run again: its function {function} was deleted; call another function with its payload \
         (sampan events dead-letter {id}) or remove it (sampan events purge {id}). `sampan job run --keep` keeps the \
         function of a job"
    )]
    FunctionGone {
        /// The event.
        id: RequestId,
        /// The function that it was accepted for.
        function: FunctionKey,
    },
    /// The event belongs to another function.
    #[error("event {id} is not one of function {function}")]
    OfAnotherFunction {
        /// The event.
        id: RequestId,
        /// The function that was named.
        function: FunctionKey,
    },
    /// The callback URL is refused.
    #[error("X-Callback-Url: {0}")]
    Callback(#[source] outbound::Refused),
    /// The queue is closing.
    #[error("the queue of events is shutting down")]
    Stopping,
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&rusqlite::Error> for Error {
    fn from(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            _ => Self::Write(error.to_string()),
        }
    }
}
