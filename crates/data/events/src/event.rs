//! Events and their states.

use bytes::Bytes;
use types::{FunctionId, FunctionKey, Qualifier, RequestId, RunStatus};

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

    /// The state of a text.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
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
    /// What the function answered in the last run, or why that failed; cut to `result_bytes_max`.
    pub result: Option<String>,
}
