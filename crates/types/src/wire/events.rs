//! Shapes of the actions that look at asynchronous events (contract 2.7 and 3).

use serde::{Deserialize, Serialize};

/// `ListAsyncEvents`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAsyncEventsRequest {
    /// Name, required.
    pub function_name: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Version or alias.
    pub qualifier: Option<String>,
    /// Ways in.
    pub invoke_type: Option<Vec<String>>,
    /// States.
    pub status: Option<Vec<String>>,
    /// When they were accepted; the end is excluded.
    pub start_time_interval: Option<TimeInterval>,
    /// When they ended; the end is excluded.
    pub end_time_interval: Option<TimeInterval>,
    /// `ASC` or `DESC`.
    pub order: Option<String>,
    /// `StartTime` or `EndTime`.
    pub orderby: Option<String>,
    /// How many to leave out at the beginning.
    pub offset: Option<i64>,
    /// How many to answer with at most.
    pub limit: Option<i64>,
    /// This event.
    pub invoke_request_id: Option<String>,
}

/// `TimeInterval`: local times.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TimeInterval {
    /// The first second.
    pub start: Option<String>,
    /// The first second after it.
    pub end: Option<String>,
}

/// Answer of `ListAsyncEvents`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAsyncEventsAnswer {
    /// All matches.
    pub total_count: u64,
    /// This page.
    pub event_list: Vec<AsyncEvent>,
}

/// `AsyncEvent`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AsyncEvent {
    /// Id of the event.
    pub invoke_request_id: String,
    /// How it came in.
    pub invoke_type: String,
    /// Version or alias.
    pub qualifier: String,
    /// `RUNNING`, `FINISHED`, `ABORTED` or `FAILED`.
    pub status: String,
    /// When it was accepted, local time with microseconds.
    pub start_time: String,
    /// When it ended; empty before.
    pub end_time: String,
}

/// `GetAsyncEventStatus`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetAsyncEventStatusRequest {
    /// Id of the event, required.
    pub invoke_request_id: Option<String>,
}

/// Answer of `GetAsyncEventStatus`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetAsyncEventStatusAnswer {
    /// Where it stands.
    pub result: AsyncEventStatus,
}

/// `AsyncEventStatus`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AsyncEventStatus {
    /// `RUNNING`, `FINISHED`, `ABORTED` or `FAILED`.
    pub status: String,
    /// Status of its last run; 0 while it runs.
    pub status_code: u16,
    /// Id of the event.
    pub invoke_request_id: String,
    /// Ours: runs that began.
    pub attempts: u32,
    /// Ours: why it failed, or of a job image how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Ours: the last try of an event that waits for the next one, if it had any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Ours: exit code of a job image's program that ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Ours: the signal that ended a job image's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<i32>,
    /// Ours: whether a job image's program was ended for its memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_memory: Option<bool>,
}

/// The last try of a waiting event, a failed run or one without room, and the time of the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Retry {
    /// Status of the last try.
    pub status_code: u16,
    /// Its error or output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Unix milliseconds of the next try.
    pub next_run_ms: i64,
}

/// `TerminateAsyncEvent`, and the platform's own `TerminateEvent`, which needs no function.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminateAsyncEventRequest {
    /// Function, required in `TerminateAsyncEvent`.
    pub function_name: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Id of the event, required.
    pub invoke_request_id: Option<String>,
    /// Whether a running instance is asked to end by its stop signal instead of being killed.
    pub grace_shutdown: Option<bool>,
}

/// `AsyncTriggerConfig`: how events are retried and given up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AsyncTriggerConfig {
    /// One object with the retries.
    pub retry_config: Option<Vec<RetryConfig>>,
    /// Seconds after which an event that waits is given up.
    #[serde(rename = "MsgTTL")]
    pub msg_ttl: Option<i64>,
}

/// `RetryConfig`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RetryConfig {
    /// Runs that follow one which failed in the function, required.
    pub retry_num: Option<i64>,
}

/// `GetFunctionEventInvokeConfig`, and with the configuration `UpdateFunctionEventInvokeConfig`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionEventInvokeConfigRequest {
    /// Function, required.
    pub function_name: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// A version or alias, which has the function's configuration.
    pub qualifier: Option<String>,
    /// The configuration, required in an update; what it leaves out stays.
    pub async_trigger_config: Option<AsyncTriggerConfig>,
}

/// Answer of `GetFunctionEventInvokeConfig`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetFunctionEventInvokeConfigAnswer {
    /// The configuration.
    pub async_trigger_config: AsyncTriggerConfig,
}
