//! Parameters and results of invocations.

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

/// An extension of a web request: the longest body, in bytes, where the configuration allows a
/// longer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestBytesMax(pub u64);

/// The target of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The function.
    pub function: FunctionKey,
    /// Its version or alias.
    pub qualifier: Qualifier,
}

/// The origin of an event.
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
    /// Its origin.
    pub source: Source,
    /// Set for an asynchronous event: its run's parameters. `None` for a call that waits.
    pub asynchronous: Option<Asynchronous>,
}

/// Parameters of an asynchronous event's run; an extension of a web request that is one.
///
/// Its record begins when there is an instance for it, or the start of one: an event for which
/// there is no room leaves no record.
#[derive(Debug, Clone, Default)]
pub struct Asynchronous {
    /// Cancels the run.
    pub cancellation: Cancellation,
    /// Runs of the event that failed in the function before this one (`RetryNum`).
    pub retry_num: u32,
    /// Number of events that led to this one, each caused by a run of the previous one; passed to
    /// the function in [`CHAIN_DEPTH`](crate::CHAIN_DEPTH).
    pub chain_depth: u32,
    /// Number of this run of the event, from 1 on.
    pub attempt: u32,
    /// Its position among events that were accepted as one array.
    pub array: Option<ArrayPlace>,
}

/// Result of an event's run.
#[derive(Debug, Clone)]
pub struct EventResult {
    /// Id of the invocation.
    pub request_id: RequestId,
    /// Status of the run.
    pub status: RunStatus,
    /// The function's response, or the JSON object of a failed run: `errorCode`, `errorMessage`,
    /// `requestId`, `statusCode`.
    pub ret_msg: String,
    /// For a failed run: the same for unauthenticated callers, without the image's output.
    pub public_ret_msg: Option<String>,
    /// Why it failed; `None` on success.
    pub error_message: Option<String>,
    /// The delay before the next call that the function requested (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// Time of the run, without the start of the instance.
    pub duration: Duration,
    /// The same in whole milliseconds, rounded up, at least 1; 0 when nothing ran.
    pub bill_duration_ms: u64,
    /// Highest memory of the instance so far, in bytes.
    pub memory_bytes: u64,
    /// For a job image whose program ran to its end: its exit status.
    pub exit: Option<ExitStatus>,
    /// Durations of the start, when the instance was started for this event.
    pub cold: Option<ColdStart>,
}
