//! What callers pass to an invocation, and what they get.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use pool::{ColdStart, ExitStatus};
pub use types::Installation;
use types::job::ArrayPlace;
use types::{FunctionKey, Qualifier, RequestId, RunStatus};

use crate::cancellation::Cancellation;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response, as it comes from the instance.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body without bytes.
pub(crate) fn empty_body() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// An extension of a web request: the bytes that its body may have, where the configuration allows
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestBytesMax(pub u64);

/// What is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The function.
    pub function: FunctionKey,
    /// Its version or alias.
    pub qualifier: Qualifier,
}

/// Where an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A call of the cloud API.
    Api,
    /// A timer.
    Timer,
    /// A function URL.
    Url,
}

/// One event for an event function.
#[derive(Debug, Clone)]
pub struct EventCall {
    /// Id of the invocation.
    pub request_id: RequestId,
    /// The event; must be JSON.
    pub payload: Bytes,
    /// Where it comes from.
    pub source: Source,
    /// Of an asynchronous event: what its run has beside. `None` for a call that waits.
    pub asynchronous: Option<Asynchronous>,
}

/// What the run of an asynchronous event has beside; an extension of a web request that is one.
///
/// Its record begins when there is an instance for it, or the start of one: an event for which
/// there is no room leaves no record.
#[derive(Debug, Clone, Default)]
pub struct Asynchronous {
    /// Ends the run early.
    pub cancellation: Cancellation,
    /// Runs of the event that failed in the function before this one (`RetryNum`).
    pub retry_num: u32,
    /// Events that led to this one, each caused by a run of the one before; the function learns it
    /// by [`CHAIN_DEPTH`](crate::CHAIN_DEPTH).
    pub chain_depth: u32,
    /// Which run of the event it is, from 1 on.
    pub attempt: u32,
    /// Its place among events that were accepted as one array.
    pub array: Option<ArrayPlace>,
}

/// How the run of an event ended.
#[derive(Debug, Clone)]
pub struct EventResult {
    /// Id of the invocation.
    pub request_id: RequestId,
    /// How it ended.
    pub status: RunStatus,
    /// What the function answered, or the JSON object of a failed run: `errorCode`, `errorMessage`,
    /// `requestId`, `statusCode`.
    pub ret_msg: String,
    /// Of a failed run: the same for callers that have not authenticated, without what the image
    /// printed.
    pub public_ret_msg: Option<String>,
    /// Why it failed; `None` on success.
    pub error_message: Option<String>,
    /// How long the function asked to wait before it is called again (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// Time of the run, without the start of the instance.
    pub duration: Duration,
    /// The same in whole milliseconds, rounded up, at least 1; 0 when nothing ran.
    pub bill_duration_ms: u64,
    /// Highest memory of the instance so far, in bytes.
    pub memory_bytes: u64,
    /// Of a job image whose program ran to its end: how it ended.
    pub exit: Option<ExitStatus>,
    /// Where the time of the start went, when this event's instance was started for it.
    pub cold: Option<ColdStart>,
}
