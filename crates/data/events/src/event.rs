//! Events and their states.

use std::borrow::Cow;

use bytes::Bytes;
use types::{ExitStatus, FunctionId, FunctionKey, FunctionName, Namespace, Qualifier, RequestId, RunStatus};

/// What an event is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// The function.
    pub function: FunctionKey,
    /// Its id: an event is not run by another function that got the name later.
    pub function_id: FunctionId,
    /// Its version or alias; resolved when a run begins.
    pub qualifier: Qualifier,
}

/// How an event came in; the texts are those of `InvokeType` in `AsyncEvent` (contract, section 3).
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

/// An event to be accepted.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its id: one over all of its runs.
    pub request_id: RequestId,
    /// What it is for.
    pub address: Address,
    /// How it came in.
    pub invoke_type: InvokeType,
    /// The bytes as they came.
    pub payload: Bytes,
    /// Runs after a run that failed in the function (`RetryNum`).
    pub retries_max: u32,
    /// Seconds from acceptance to the last moment at which a run may begin (`MsgTTL`).
    pub ttl_s: u32,
    /// Seconds until it is due.
    pub delay_s: u32,
}

/// What makes an event the same as one before: the kind of key, and the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceKey {
    /// Who gave the key, such as `idempotency` for a client's `Idempotency-Key`.
    pub source: Cow<'static, str>,
    /// The key; it is compared byte by byte.
    pub key: String,
}

/// What became of an event that has a [`SourceKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// It is a new one.
    New,
    /// It is the same as that one, which runs or ran; nothing was added.
    Before(RequestId),
}

impl Accepted {
    /// The event before, where it is the same as one.
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
    /// A run ended well.
    Finished,
    /// It was terminated.
    Aborted,
    /// No run ended well, and none will follow.
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

/// Where an event stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventStatus {
    /// Its id.
    pub request_id: RequestId,
    /// What it is for.
    pub address: Address,
    /// How it came in.
    pub invoke_type: InvokeType,
    /// Its state.
    pub state: RunState,
    /// How its last run ended; `None` before the first end.
    pub status: Option<RunStatus>,
    /// Runs that began.
    pub attempts: u32,
    /// Unix milliseconds of its acceptance.
    pub accepted_ms: i64,
    /// Unix milliseconds of its end.
    pub ended_ms: Option<i64>,
    /// What the function answered in the last run, or why that failed; cut to `result_bytes_max`,
    /// and no longer kept after `results_s`, or when newer ones take all of `results_bytes_max`.
    pub result: Option<String>,
    /// Bytes of the result before it was cut; `None` where it is whole.
    pub result_bytes: Option<u64>,
    /// Of a job image whose program ran to its end: how it ended.
    pub exit: Option<ExitStatus>,
}

/// A page of states; times are Unix milliseconds, an interval's end excluded.
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
    /// Only those accepted then.
    pub accepted_ms: Option<(i64, i64)>,
    /// Only those that ended then.
    pub ended_ms: Option<(i64, i64)>,
    /// By end instead of acceptance.
    pub by_end: bool,
    /// Oldest first.
    pub ascending: bool,
    /// How many to leave out.
    pub offset: u64,
    /// Most in the page.
    pub limit: u64,
}

/// A page of states.
#[derive(Debug, Clone)]
pub struct Listed {
    /// How many match in all.
    pub total: u64,
    /// The page.
    pub events: Vec<EventStatus>,
}

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetters {
    /// Those of this namespace.
    pub namespace: Namespace,
    /// Only those of this function.
    pub function: Option<FunctionName>,
}

/// An event of which no run ended well.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The row: greater than those of dead letters before it.
    pub row: u64,
    /// The event's id.
    pub request_id: RequestId,
    /// What it was for.
    pub address: Address,
    /// How it came in.
    pub invoke_type: InvokeType,
    /// Why it was given up.
    pub reason: String,
    /// How its last run ended.
    pub status: Option<RunStatus>,
    /// Runs that began.
    pub attempts: u32,
    /// Unix milliseconds of its acceptance and of its end.
    pub accepted_ms: i64,
    /// See `accepted_ms`.
    pub died_ms: i64,
    /// Unix milliseconds of its redrive: it is history since then.
    pub redriven_ms: Option<i64>,
    /// The last run's answer or error.
    pub result: Option<String>,
    /// Size of the payload.
    pub payload_bytes: u64,
    /// Where it was to go, if it is what an event's end sends: a URL, `fn:NAME` or `http:NAME`.
    pub destination: Option<String>,
}
