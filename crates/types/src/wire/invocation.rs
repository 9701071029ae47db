//! Request and answer types of the actions that run functions and query runs.

use serde::{Deserialize, Serialize};

use crate::RequestId;

/// `Invoke`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InvokeRequest {
    /// Name, required.
    pub function_name: Option<String>,
    /// `RequestResponse` or `Event`.
    pub invocation_type: Option<String>,
    /// Version or alias.
    pub qualifier: Option<String>,
    /// The event, JSON text.
    pub client_context: Option<String>,
    /// `None` or `Tail`.
    pub log_type: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Values for an alias's rules, a JSON object of texts.
    pub routing_key: Option<String>,
}

/// `InvokeFunction`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InvokeFunctionRequest {
    /// Name, required.
    pub function_name: Option<String>,
    /// Version or alias.
    pub qualifier: Option<String>,
    /// The event, JSON text.
    pub event: Option<String>,
    /// `None` or `Tail`.
    pub log_type: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Values for an alias's rules, a JSON object of texts.
    pub routing_key: Option<String>,
}

/// Answer of `Invoke` and `InvokeFunction`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InvokeAnswer {
    /// Result of the run.
    pub result: RunResult,
}

/// `Result`: outcome and usage of a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunResult {
    /// Tail of the log if `LogType` is `Tail`.
    pub log: String,
    /// The function's response, or the JSON object of a failed run.
    pub ret_msg: String,
    /// Reason of a failure; empty on success.
    pub err_msg: String,
    /// Peak memory, in bytes.
    pub mem_usage: u64,
    /// Run time, in milliseconds.
    pub duration: f64,
    /// Billed run time, in milliseconds.
    pub bill_duration: u64,
    /// Id of the run.
    pub function_request_id: String,
    /// 0 on success, −1 on failure.
    pub invoke_result: i32,
}

impl RunResult {
    /// Result of an accepted asynchronous call: all fields but the id are empty or 0 (contract 3).
    pub fn accepted(id: &RequestId) -> Self {
        Self {
            log: String::new(),
            ret_msg: String::new(),
            err_msg: String::new(),
            mem_usage: 0,
            duration: 0.0,
            bill_duration: 0,
            function_request_id: id.to_string(),
            invoke_result: 0,
        }
    }
}

/// `GetFunctionLogs`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetFunctionLogsRequest {
    /// Name; without it all functions of the namespace.
    pub function_name: Option<String>,
    /// Number of entries to skip.
    pub offset: Option<i64>,
    /// Maximum number of entries.
    pub limit: Option<i64>,
    /// `asc` or `desc`.
    pub order: Option<String>,
    /// `function_name`, `duration`, `mem_usage` or `start_time`.
    pub order_by: Option<String>,
    /// Filter by outcome.
    pub filter: Option<LogFilter>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Version or alias.
    pub qualifier: Option<String>,
    /// Id of one run.
    pub function_request_id: Option<String>,
    /// Earliest start, local time.
    pub start_time: Option<String>,
    /// Latest start, local time.
    pub end_time: Option<String>,
    /// Subject of the search: runs, or output outside requests.
    pub search_context: Option<LogSearchRequest>,
}

/// Search of `GetFunctionLogs`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogSearchRequest {
    /// `Instance`: output outside requests, one entry per instance. Other values are retired and
    /// ignored.
    pub r#type: Option<String>,
}

/// Filter of runs by outcome.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogFilter {
    /// `not0`, `is0`, `TimeLimitExceeded`, `ResourceLimitExceeded` or `UserCodeException`.
    pub ret_code: Option<String>,
}

/// Answer of `GetFunctionLogs`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetFunctionLogsAnswer {
    /// All matches.
    pub total_count: usize,
    /// This page.
    pub data: Vec<FunctionLog>,
    /// Retired; always empty.
    pub search_context: LogSearchContext,
}

/// A retired form of paging; always empty.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogSearchContext {
    /// Start of the next page.
    pub offset: String,
    /// Page length.
    pub limit: u32,
    /// The search.
    pub keyword: String,
    /// Kind of log.
    pub r#type: String,
}

/// One run with its log.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionLog {
    /// The function.
    pub function_name: String,
    /// The response to the caller.
    pub ret_msg: String,
    /// Id of the run.
    pub request_id: String,
    /// When it began, local time.
    pub start_time: String,
    /// 0 ok, 2 running, 3 interrupted, else the status of the failed run.
    pub ret_code: i32,
    /// 1 when the run has ended.
    pub invoke_finished: i32,
    /// Run time, in milliseconds.
    pub duration: f64,
    /// Billed run time, in milliseconds.
    pub bill_duration: u64,
    /// Peak memory, in bytes.
    pub mem_usage: u64,
    /// Its whole log.
    pub log: String,
    /// Always empty.
    pub level: &'static str,
    /// Always empty.
    pub source: &'static str,
    /// Number of the asynchronous event's retry.
    pub retry_num: u32,
}

/// `GetRequestStatus`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetRequestStatusRequest {
    /// Name, required.
    pub function_name: Option<String>,
    /// Id of the run, required.
    pub function_request_id: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Earliest start, local time.
    pub start_time: Option<String>,
    /// Latest start, local time.
    pub end_time: Option<String>,
}

/// Answer of `GetRequestStatus`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetRequestStatusAnswer {
    /// Number of runs.
    pub total_count: usize,
    /// The runs.
    pub data: Vec<RequestStatus>,
}

/// State of one run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestStatus {
    /// The function.
    pub function_name: String,
    /// The response to the caller.
    pub ret_msg: String,
    /// Id of the run.
    pub request_id: String,
    /// When it began, local time.
    pub start_time: String,
    /// 0 ok, 1 running, −1 failed.
    pub ret_code: i32,
    /// Run time, in milliseconds.
    pub duration: f64,
    /// Peak memory, in MB.
    pub mem_usage: f64,
    /// Number of the asynchronous event's retry.
    pub retry_num: u32,
}
