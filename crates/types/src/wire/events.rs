//! Request and answer types of the actions on asynchronous events (contract 2.7 and 3).

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
    /// Origins, as `InvokeType`.
    pub invoke_type: Option<Vec<String>>,
    /// States.
    pub status: Option<Vec<String>>,
    /// Interval of the acceptance; the end is excluded.
    pub start_time_interval: Option<TimeInterval>,
    /// Interval of the end; the end of the interval is excluded.
    pub end_time_interval: Option<TimeInterval>,
    /// `ASC` or `DESC`.
    pub order: Option<String>,
    /// `StartTime` or `EndTime`.
    pub orderby: Option<String>,
    /// Number of entries to skip.
    pub offset: Option<i64>,
    /// Maximum number of entries.
    pub limit: Option<i64>,
    /// Id of one event.
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
    /// Origin of the event.
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
    /// Its state.
    pub result: AsyncEventStatus,
}

/// `AsyncEventStatus`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AsyncEventStatus {
    /// `RUNNING`, `FINISHED`, `ABORTED` or `FAILED`.
    pub status: String,
    /// Status of its last run; 0 while it is running.
    pub status_code: u16,
    /// Id of the event.
    pub invoke_request_id: String,
    /// Extension: number of started runs.
    pub attempts: u32,
    /// Extension: reason of the failure; for a job image its exit status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Extension: last attempt of an event that waits for the next one, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Extension: exit code of a job image's program, unless a signal ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Extension: signal that ended a job image's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_signal: Option<i32>,
    /// Extension: whether the OOM killer ended a job image's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_memory: Option<bool>,
}

/// Last attempt of a waiting event (a failed run, or one that was not admitted), and the time of
/// the next.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Retry {
    /// Status of the last attempt.
    pub status_code: u16,
    /// Its error or output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Unix milliseconds of the next attempt.
    pub next_run_ms: i64,
}

/// `TerminateAsyncEvent`, and the extension `TerminateEvent`, which requires no function.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminateAsyncEventRequest {
    /// Function, required in `TerminateAsyncEvent`.
    pub function_name: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Id of the event, required.
    pub invoke_request_id: Option<String>,
    /// Whether a running instance receives its stop signal instead of SIGKILL.
    pub grace_shutdown: Option<bool>,
}

/// `AsyncTriggerConfig`: retries and maximum age of events.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AsyncTriggerConfig {
    /// One object with the number of retries.
    pub retry_config: Option<Vec<RetryConfig>>,
    /// Seconds after which a waiting event is given up.
    #[serde(rename = "MsgTTL")]
    pub msg_ttl: Option<i64>,
}

/// `RetryConfig`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RetryConfig {
    /// Retries after a run that failed in the function, required.
    pub retry_num: Option<i64>,
}

/// `GetFunctionEventInvokeConfig`; with the configuration `UpdateFunctionEventInvokeConfig`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionEventInvokeConfigRequest {
    /// Function, required.
    pub function_name: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// A version or alias; the configuration is the function's.
    pub qualifier: Option<String>,
    /// The configuration, required in an update; omitted fields are unchanged.
    pub async_trigger_config: Option<AsyncTriggerConfig>,
}

/// Answer of `GetFunctionEventInvokeConfig`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetFunctionEventInvokeConfigAnswer {
    /// The configuration.
    pub async_trigger_config: AsyncTriggerConfig,
}
