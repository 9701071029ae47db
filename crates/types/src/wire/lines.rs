//! Shapes of the installation's own actions about output: single lines of the log, and answers of
//! runs that nobody waited for. They are written as those of the cloud API are, and are served at
//! [`EXTENSIONS_PATH`].

use serde::{Deserialize, Serialize};

use super::RunResult;

/// Where the control address serves actions that the cloud API does not have.
pub const EXTENSIONS_PATH: &str = "/extensions";

/// `GetLogLines`: the newest lines of a function's log, or those that came after a cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GetLogLinesRequest {
    /// The function.
    pub function_name: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Lines of this version, or of requests that named this alias.
    pub qualifier: Option<String>,
    /// Lines of this request.
    pub function_request_id: Option<String>,
    /// Lines of the instances whose id begins so.
    pub instance_id: Option<String>,
    /// Lines of requests that failed, when they have ended.
    pub failed: bool,
    /// Lines of this time or later, Unix milliseconds.
    pub start_time_ms: Option<i64>,
    /// Lines of this time or earlier, Unix milliseconds.
    pub end_time_ms: Option<i64>,
    /// How many lines at most.
    pub limit: Option<i64>,
    /// `Next` of an earlier answer: the lines behind it, from the oldest on. Without one, the
    /// newest lines.
    pub after: Option<String>,
}

/// `GetInvocationResult`: the answer of an event whose caller had stopped waiting when it ended, or
/// that was asynchronous.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GetInvocationResultRequest {
    /// Namespace.
    pub namespace: Option<String>,
    /// The run.
    pub function_request_id: Option<String>,
}

/// Answer of `GetInvocationResult`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetInvocationResultAnswer {
    /// As `Invoke` answers it.
    pub result: RunResult,
    /// Bytes of `RetMsg` before it was cut; absent where it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ret_msg_bytes: Option<u64>,
}

/// Answer of `GetLogLines`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetLogLinesAnswer {
    /// In the order in which they were written.
    pub lines: Vec<LogLine>,
    /// Where to go on.
    pub next: String,
    /// The log may have more lines: behind these, or before the newest ones.
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
    /// The request it belongs to; absent from lines outside requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The instance that printed it; absent from the platform's lines of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The version that runs.
    pub version: String,
    /// The line without its newline.
    pub text: String,
}
