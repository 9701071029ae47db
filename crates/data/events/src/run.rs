//! The interface to what runs events.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use invoke::Cancellation;
use types::catalog::Lookup;
use types::job::ArrayPlace;
use types::{EventInvokeConfig, ExitStatus, FunctionId, FunctionKey, RequestId, RunStatus, TriggerId};

use crate::delivery::Destinations;
use crate::event::{Address, InvokeType};
use crate::repeat::Repeat;
use crate::web_answer::WebAnswer;

/// A boxed future.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One run of an event.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The event's id: the same in every run.
    pub request_id: RequestId,
    /// Its target.
    pub address: Address,
    /// Its origin.
    pub invoke_type: InvokeType,
    /// The bytes, unchanged.
    pub payload: Bytes,
    /// Number of this run of the event, from 1 on.
    pub attempt: u32,
    /// Its index among those that were accepted with it.
    pub array: Option<ArrayPlace>,
    /// Runs that failed in the function before this one (`RetryNum`).
    pub retry: u32,
    /// Number of events that led to this one, each caused by a run of the previous one.
    pub depth: u32,
    /// Bytes of a web function's response to keep in [`Outcome::web`]; 0 where it is not needed.
    pub answer_bytes_max: usize,
    /// Cancels the run: it must return when all of its processes have ended, with
    /// [`RunStatus::RequestCanceled`].
    pub cancellation: Cancellation,
}

/// Outcome of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The status of the contract.
    pub status: RunStatus,
    /// The function's response, or the error as JSON.
    pub ret_msg: String,
    /// Why it failed.
    pub error_message: Option<String>,
    /// For a job image whose program ran to its end: its exit status.
    pub exit: Option<ExitStatus>,
    /// The function's `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The response of a web function, unchanged, where [`Attempt::answer_bytes_max`] requests it.
    pub web: Option<WebAnswer>,
}

impl Outcome {
    /// The outcome of a run that did not begin because the call resolves to no version.
    pub(crate) fn unresolved(lookup: &Lookup) -> Self {
        let status = match lookup {
            Lookup::NoFunction(_) => RunStatus::FunctionNotFound,
            Lookup::NoQualifier(..) => RunStatus::QualifierNotFound,
            Lookup::NotCallable(..) => RunStatus::FunctionStatusError,
        };
        Self::not_begun(status, lookup.to_string())
    }

    /// The outcome when another function has the name of the one that the event was accepted for.
    pub(crate) fn of_another(address: &Address, named_so_now: &FunctionId) -> Self {
        let Address { function, function_id, .. } = address;
        let message = format!(
            "function {function} ({function_id}) was deleted before the event ran; the function that has its name now \
             ({named_so_now}) is another one and does not get its events"
        );
        Self::not_begun(RunStatus::FunctionNotFound, message)
    }

    fn not_begun(status: RunStatus, message: String) -> Self {
        Self { status, ret_msg: String::new(), error_message: Some(message), exit: None, retry_after: None, web: None }
    }
}

/// Runs events; implemented by the invocation path, and by a fake in tests.
pub trait Run: Send + Sync + 'static {
    /// Runs an event to its end. Failures are outcomes.
    fn run(&self, attempt: Attempt) -> BoxFuture<Outcome>;

    /// Whether the events of a function run again.
    fn repeat(&self, address: &Address) -> Repeat {
        let _ = address;
        Repeat::default()
    }

    /// Whether a function is deleted by itself when none of its events runs any more.
    fn is_temporary(&self, _of: &Address) -> bool {
        false
    }

    /// The destinations of an event's outcome.
    fn destinations(&self, _of: &Address, _event: &RequestId) -> Destinations {
        Destinations::default()
    }

    /// Maximum of concurrent runs of a trigger's events; `None` where it has no limit of its own.
    fn trigger_concurrency(&self, _of: &FunctionKey, _trigger: &TriggerId) -> Option<usize> {
        None
    }

    /// Whether a function takes HTTP requests, so that its events are stored requests.
    fn takes_requests(&self, _of: &FunctionKey) -> bool {
        false
    }

    /// The id of a function, if it exists, and how its events are retried.
    fn function(&self, _of: &FunctionKey) -> Option<(FunctionId, EventInvokeConfig)> {
        None
    }
}
