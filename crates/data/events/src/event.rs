//! Events and their states.

use std::borrow::Cow;

use bytes::Bytes;
use types::{ExitStatus, FunctionId, FunctionKey, FunctionName, Namespace, Qualifier, RequestId, RunStatus};

/// The target of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// The function.
    pub function: FunctionKey,
    /// Its id: an event is not run by another function that took the name later.
    pub function_id: FunctionId,
    /// Its version or alias; resolved when a run begins.
    pub qualifier: Qualifier,
}

/// Origin of an event; the texts are those of `InvokeType` in `AsyncEvent` (contract, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InvokeType {
    /// A call of the cloud API or of the gateway's `/async/`.
    Invoke,
    /// A timer.
    Timer,
    /// An object store.
    Cos,
}

impl InvokeType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Invoke, Self::Timer, Self::Cos];

    /// The text of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invoke => "INVOKE",
            Self::Timer => "TRIGGER_TIMER",
            Self::Cos => "COS",
        }
    }

    /// The type of a text.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An event to accept.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its id, the same in all of its runs.
    pub request_id: RequestId,
    /// Its target.
    pub address: Address,
    /// Its origin.
    pub invoke_type: InvokeType,
    /// The bytes, unchanged.
    pub payload: Bytes,
    /// Retries after a run that failed in the function (`RetryNum`).
    pub retries_max: u32,
    /// Seconds from acceptance to the last moment at which a run may begin (`MsgTTL`).
    pub ttl_s: u32,
    /// Seconds until it is due.
    pub delay_s: u32,
}

/// Identity of an event for deduplication: the kind of key, and the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceKey {
    /// Kind of key, such as `idempotency` for a client's `Idempotency-Key`.
    pub source: Cow<'static, str>,
    /// The key; compared byte by byte.
    pub key: String,
}

/// Outcome of accepting an event that has a [`SourceKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is new.
    New,
    /// It is a duplicate of that one; nothing was added.
    Before(RequestId),
}

impl Accepted {
    /// The earlier event, for a duplicate.
    pub fn before(&self) -> Option<&RequestId> {
        match self {
            Self::New => None,
            Self::Before(first) => Some(first),
        }
    }
}

/// The state of an event, as `AsyncEvent` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// It waits or runs.
    Running,
    /// A run succeeded.
    Finished,
    /// It was terminated.
    Aborted,
    /// No run succeeded, and none will follow.
    Failed,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Aborted, Self::Failed];

    /// The text of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Aborted => "ABORTED",
            Self::Failed => "FAILED",
        }
    }
}

/// Status of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventStatus {
    /// Its id.
    pub request_id: RequestId,
    /// Its target.
    pub address: Address,
    /// Its origin.
    pub invoke_type: InvokeType,
    /// Its state.
    pub state: RunState,
    /// Status of its last run; `None` before the first end.
    pub status: Option<RunStatus>,
    /// Number of runs that began.
    pub attempts: u32,
    /// Unix milliseconds of its acceptance.
    pub accepted_ms: i64,
    /// Unix milliseconds of its end.
    pub ended_ms: Option<i64>,
    /// The function's response in the last run, or the error; truncated to `result_bytes_max`, and
    /// removed after `results_s`, or when newer ones take all of `results_bytes_max`.
    pub result: Option<String>,
    /// Bytes of the result before truncation; `None` where it is complete.
    pub result_bytes: Option<u64>,
    /// For a job image whose program ran to its end: its exit status.
    pub exit: Option<ExitStatus>,
    /// Unix milliseconds from which a waiting event may run.
    pub next_ms: Option<i64>,
}

/// Query for a page of states; times are Unix milliseconds, an interval's end excluded.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// The function.
    pub function_id: FunctionId,
    /// Only of this version or alias.
    pub qualifier: Option<Qualifier>,
    /// Only of these kinds; all when empty.
    pub invoke_types: Vec<InvokeType>,
    /// Only in these states; all when empty.
    pub states: Vec<RunState>,
    /// Only the one of this id.
    pub request_id: Option<RequestId>,
    /// Only those accepted in this interval.
    pub accepted_ms: Option<(i64, i64)>,
    /// Only those that ended in this interval.
    pub ended_ms: Option<(i64, i64)>,
    /// Sort by end instead of acceptance.
    pub by_end: bool,
    /// Oldest first.
    pub ascending: bool,
    /// Number of events to skip.
    pub offset: u64,
    /// Maximum length of the page.
    pub limit: u64,
}

/// A page of states.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Total number of matches.
    pub total: u64,
    /// The page.
    pub events: Vec<EventStatus>,
}

/// Filter of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetters {
    /// The namespace.
    pub namespace: Namespace,
    /// Only those of this function.
    pub function: Option<FunctionName>,
}

/// An event that was given up after no run succeeded.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The row: greater than those of dead letters before it.
    pub row: u64,
    /// The event's id.
    pub request_id: RequestId,
    /// Its target.
    pub address: Address,
    /// Its origin.
    pub invoke_type: InvokeType,
    /// Why it was given up.
    pub reason: String,
    /// Status of its last run.
    pub status: Option<RunStatus>,
    /// Number of runs that began.
    pub attempts: u32,
    /// Unix milliseconds of its acceptance and of its end.
    pub accepted_ms: i64,
    /// See `accepted_ms`.
    pub died_ms: i64,
    /// Unix milliseconds of its redrive: since then it is history.
    pub redriven_ms: Option<i64>,
    /// The last run's response or error.
    pub result: Option<String>,
    /// Size of the payload.
    pub payload_bytes: u64,
    /// Its destination, if it is a delivery: a URL, `fn:NAME` or `http:NAME`.
    pub destination: Option<String>,
}
