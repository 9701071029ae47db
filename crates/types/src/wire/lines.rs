//! Request and answer types of extensions about output: single lines of the log, and results of
//! runs without a waiting caller. Their form is that of the cloud API; they are served at
//! [`EXTENSIONS_PATH`].

use serde::{Deserialize, Serialize};

use super::RunResult;

/// Path of the control address for actions that the cloud API does not have.
pub const EXTENSIONS_PATH: &str = "/extensions";

/// `GetLogLines`: the newest lines of a function's log, or those after a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GetLogLinesRequest {
    /// The function.
    pub function_name: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Only lines of this version, or of requests with this alias.
    pub qualifier: Option<String>,
    /// Only lines of this request.
    pub function_request_id: Option<String>,
    /// Only lines of instances whose id has this prefix.
    pub instance_id: Option<String>,
    /// Only lines of failed requests.
    pub failed: bool,
    /// Earliest time, Unix milliseconds.
    pub start_time_ms: Option<i64>,
    /// Latest time, Unix milliseconds.
    pub end_time_ms: Option<i64>,
    /// Maximum number of lines.
    pub limit: Option<i64>,
    /// `Next` of an earlier answer: returns the lines after it, oldest first. Without it, the
    /// newest lines.
    pub after: Option<String>,
}

/// `GetInvocationResult`: result of an asynchronous event, or of a synchronous one whose caller
/// stopped waiting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GetInvocationResultRequest {
    /// Namespace.
    pub namespace: Option<String>,
    /// Id of the run.
    pub function_request_id: Option<String>,
}

/// Answer of `GetInvocationResult`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetInvocationResultAnswer {
    /// The result in the form of `Invoke`.
    pub result: RunResult,
    /// Length of `RetMsg` in bytes before truncation; absent if it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ret_msg_bytes: Option<u64>,
}

/// Answer of `GetLogLines`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetLogLinesAnswer {
    /// Ordered by time of writing.
    pub lines: Vec<LogLine>,
    /// Cursor after these lines.
    pub next: String,
    /// Whether the log may have more lines: after these, or before the newest ones.
    pub more: bool,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LogLine {
    /// When it was read, Unix milliseconds.
    pub time_ms: i64,
    /// `stdout` or `stderr` of the function, or `platform`.
    pub stream: String,
    /// Its request; absent for lines outside requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Its instance; absent for the platform's lines of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The running version.
    pub version: String,
    /// The line without its newline.
    pub text: String,
}
