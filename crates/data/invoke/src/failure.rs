//! Failures of runs: status, text, and the JSON of a failed run.
//!
//! Pure. The texts are the contract's where it defines one.

use std::time::Duration;

use http::StatusCode;
use pool::{ColdStart, ExitStatus, InvalidSessionKey, LeaseError};
use serde::Serialize;
use types::catalog::Lookup;
use types::{FunctionKey, RequestId, RunStatus};

use crate::framing::InvalidFraming;
use crate::limit::Limit;
use crate::report;

/// A failed start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailedStart {
    pub cold: ColdStart,
    pub peak_bytes: u64,
}

/// Failure of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub status: RunStatus,
    /// For the caller.
    pub message: String,
    /// For the function's owner alone, appended to the message: in logs and in responses to signed
    /// calls.
    pub detail: String,
    /// HTTP status of the response when it differs from the number of `status`.
    http_status: Option<StatusCode>,
    /// The start that failed, for its line in the log.
    pub start: Option<Box<FailedStart>>,
    /// Whether the failure concerns one connection and not the instance.
    pub of_connection: bool,
    /// The delay before the next call that the function requested.
    pub retry_after: Option<Duration>,
}

/// The JSON object of a failed run (contract, section 3).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed<'a> {
    error_code: i32,
    error_message: &'a str,
    request_id: &'a str,
    status_code: u16,
}

impl Failure {
    pub fn new(status: RunStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            detail: String::new(),
            http_status: None,
            start: None,
            of_connection: false,
            retry_after: None,
        }
    }

    pub fn event_not_json(error: &impl std::fmt::Display) -> Self {
        Self::new(RunStatus::InvalidEvent, format!("the event is not JSON: {error}"))
    }

    pub fn event_too_large(bytes: usize, bytes_max: usize) -> Self {
        let limit = Limit::new("invoke.event_bytes_max", bytes_max as u64);
        Self::new(RunStatus::RequestTooLarge, format!("the event has {bytes} bytes, more than {limit}"))
    }

    pub fn request_too_large(limit: Limit) -> Self {
        let message = format!("content too large: the body of the request is longer than {limit}");
        Self::new(RunStatus::RequestTooLarge, message)
    }

    pub fn session_key(problem: &InvalidSessionKey) -> Self {
        Self::new(RunStatus::InvalidParameterValue, problem.to_string())
    }

    pub fn response_too_large(limit: Limit) -> Self {
        let message = format!("the function's response is longer than {limit}");
        Self::new(RunStatus::ResponseTooLarge, message)
    }

    pub fn response_headers_too_large(bytes: usize, bytes_max: usize) -> Self {
        let limit = Limit::new("invoke.web_response_headers_bytes_max", bytes_max as u64);
        let message = format!("the headers of the function's response have {bytes} bytes, more than {limit}");
        Self::new(RunStatus::ResponseTooLarge, message)
    }

    /// The response head exceeds a limit.
    pub fn response_head_too_large(headers_max: usize, bytes_max: usize) -> Self {
        let message = format!(
            "the function's response has more than {headers_max} headers (setting invoke.web_response_headers_max) or \
             {bytes_max} bytes of them (setting invoke.web_response_headers_bytes_max)"
        );
        Self::new(RunStatus::ResponseTooLarge, message)
    }

    pub fn interim(responses_max: u32, bytes_max: usize) -> Self {
        let message = format!(
            "the function's server sent more than {responses_max} interim answers (1xx, setting \
             invoke.interim_responses_max) or {bytes_max} bytes of them (setting invoke.interim_responses_bytes_max) and \
             no final one"
        );
        Self::new(RunStatus::UserCodeException, message)
    }

    /// The instance's server sent an invalid response.
    pub fn no_http(detail: &str) -> Self {
        let message = format!("the function's server sent no valid HTTP answer: {detail}");
        Self::new(RunStatus::UserCodeException, message)
    }

    /// The end of the caller's request is ambiguous.
    pub fn invalid_framing(invalid: &InvalidFraming) -> Self {
        let message = format!("the end of the request cannot be known: {invalid}");
        Self { http_status: Some(StatusCode::BAD_REQUEST), ..Self::new(RunStatus::InvalidParameterValue, message) }
    }

    pub fn timed_out(timeout_s: u32) -> Self {
        Self::new(RunStatus::TimeLimitReached, format!("Invoking task timed out after {timeout_s} seconds"))
    }

    /// `peak_bytes` is the peak memory of the instance.
    pub fn ended(ended: &ExitStatus, memory_mb: u32, peak_bytes: u64) -> Self {
        if ended.out_of_memory {
            let message = format!(
                "the instance went over its memory limit of {memory_mb} MB (it had {:.2} MB in use) and was ended; raise \
                 MemorySize",
                report::megabytes(peak_bytes)
            );
            return Self::new(RunStatus::MemoryLimitReached, message);
        }
        let how = match (ended.code, ended.signal) {
            (_, Some(signal)) => format!("signal {signal}"),
            (Some(code), None) => format!("exit code {code}"),
            (None, None) => "an unknown cause".to_owned(),
        };
        Self::new(RunStatus::UserProcessExited, format!("User process exit when running: it ended with {how}"))
    }

    /// The image's server answered an event with an error status: the function's code failed.
    pub fn answered(status: StatusCode, text: &str) -> Self {
        let message = if text.trim().is_empty() {
            format!("the function's server answered the event with HTTP {}", status.as_u16())
        } else {
            text.to_owned()
        };
        Self::new(RunStatus::UserCodeException, message)
    }

    pub fn broken(detail: &str) -> Self {
        let message =
            format!("the function's server broke off the connection before its answer was complete: {detail}");
        Self::new(RunStatus::UserCodeException, message)
    }

    pub fn unreachable(port: i32, detail: &str) -> Self {
        let message = format!("the function's server no longer accepts connections on port {port}: {detail}");
        Self::new(RunStatus::PortBindingFailed, message)
    }

    pub fn caller_gone() -> Self {
        Self::new(RunStatus::RequestCanceled, "the caller went away before the answer was complete")
    }

    pub fn terminated() -> Self {
        Self::new(RunStatus::RequestCanceled, "the event was terminated")
    }

    pub fn job_image(function: &FunctionKey) -> Self {
        Self::not_served(format!(
            "function {function} is a job image (ImagePort -1), which answers no requests; invoke it through the API \
             (`sampan invoke`)"
        ))
    }

    pub fn answers_with_id(function: &FunctionKey) -> Self {
        Self::not_served(format!(
            "function {function} answers every call with its id alone (AsyncRunEnable); call it asynchronously, by \
             Invoke or below /async/"
        ))
    }

    /// The version that replaced a job image while its event waited is not a job image.
    pub fn no_job_image(function: &FunctionKey) -> Self {
        Self::new(
            RunStatus::FunctionStatusError,
            format!("function {function} was a job image (ImagePort -1) when it was invoked, and is none any more"),
        )
    }

    pub fn web_function(function: &FunctionKey) -> Self {
        let message = format!("function {function} is a web function and takes no events; call its URL");
        Self::new(RunStatus::InvalidParameterValue, message)
    }

    pub fn event_function(function: &FunctionKey) -> Self {
        let message = format!("function {function} is an event function and takes no web requests; invoke it");
        Self::new(RunStatus::InvalidParameterValue, message)
    }

    /// A WebSocket connection that ended abnormally.
    pub fn of_connection(status: RunStatus, message: impl Into<String>) -> Self {
        Self { of_connection: true, ..Self::new(status, message) }
    }

    pub fn no_websocket(function: &FunctionKey) -> Self {
        Self::not_served(format!(
            "function {function} takes no WebSocket connections; make it with ProtocolType WS (sampan deploy --websocket)"
        ))
    }

    pub fn bad_upgrade() -> Self {
        let message = "a WebSocket connection is asked for with GET over HTTP/1.1 (RFC 6455)";
        Self { http_status: Some(StatusCode::BAD_REQUEST), ..Self::new(RunStatus::InvalidParameterValue, message) }
    }

    pub fn tunnel() -> Self {
        Self::not_served("CONNECT is not served; use plain requests, or GET with Upgrade for a WebSocket connection")
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(RunStatus::InternalError, message)
    }

    fn not_served(message: impl Into<String>) -> Self {
        Self { http_status: Some(StatusCode::NOT_IMPLEMENTED), ..Self::new(RunStatus::InvalidParameterValue, message) }
    }

    /// Message and detail, for its owner.
    pub fn report(&self) -> String {
        format!("{}{}", self.message, self.detail)
    }

    /// The JSON object of a failed run for its owner, as its log has it.
    pub fn to_json(&self, request: &RequestId) -> String {
        self.json(&self.report(), request)
    }

    /// The same for callers that have not authenticated.
    pub fn to_public_json(&self, request: &RequestId) -> String {
        self.json(&self.message, request)
    }

    fn json(&self, message: &str, request: &RequestId) -> String {
        let failed = Failed {
            error_code: -1,
            error_message: message,
            request_id: request.as_str(),
            status_code: self.status.code(),
        };
        serde_json::to_string(&failed).expect("strings and numbers always serialize")
    }

    /// HTTP status of a response: the number of the run's status, but 404 for what does not exist.
    pub fn http_status(&self) -> StatusCode {
        if let Some(status) = self.http_status {
            return status;
        }
        match self.status {
            RunStatus::FunctionNotFound | RunStatus::QualifierNotFound => StatusCode::NOT_FOUND,
            status => StatusCode::from_u16(status.code()).expect("status codes of a run have three digits"),
        }
    }
}

impl From<Lookup> for Failure {
    fn from(lookup: Lookup) -> Self {
        let status = match &lookup {
            Lookup::NoFunction(_) => RunStatus::FunctionNotFound,
            Lookup::NoQualifier(..) => RunStatus::QualifierNotFound,
            Lookup::NotCallable(..) => RunStatus::FunctionStatusError,
        };
        Self::new(status, lookup.to_string())
    }
}

impl From<LeaseError> for Failure {
    fn from(error: LeaseError) -> Self {
        let start = match &error {
            LeaseError::Launch(launch) => {
                Some(Box::new(FailedStart { cold: launch.cold_start, peak_bytes: launch.peak_bytes }))
            }
            _ => None,
        };
        let status = error.status();
        let (message, detail) = match error {
            LeaseError::Launch(error) | LeaseError::BackedOff(error) => (error.message, error.detail),
            error => (error.to_string(), String::new()),
        };
        Self { start, detail, ..Self::new(status, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> FunctionKey {
        FunctionKey { namespace: "default".parse().expect("valid"), name: "hello".parse().expect("valid") }
    }

    #[test]
    fn a_failed_run_reads_as_the_contract_writes_it() {
        let request: RequestId = "3c4ed1bd-9c2e-4b0e-8c0c-0f3e6f0f3a11".parse().expect("valid");
        assert_eq!(
            Failure::timed_out(3).to_json(&request),
            "{\"errorCode\":-1,\"errorMessage\":\"Invoking task timed out after 3 seconds\",\
             \"requestId\":\"3c4ed1bd-9c2e-4b0e-8c0c-0f3e6f0f3a11\",\"statusCode\":433}"
        );
    }

    #[test]
    fn what_is_for_the_owner_is_in_the_owners_json_alone() {
        let failure = Failure { detail: "; /app: secret".to_owned(), ..Failure::internal("it failed") };
        let request = RequestId::random();
        assert!(failure.to_json(&request).contains("it failed; /app: secret"));
        let public = failure.to_public_json(&request);
        assert!(public.contains("it failed") && !public.contains("secret"), "{public}");
    }

    #[test]
    fn the_end_of_an_instance_says_how_it_ended() {
        let ended =
            |code, signal, out_of_memory| Failure::ended(&ExitStatus { code, signal, out_of_memory }, 128, 3 << 19);
        let table = [
            (ended(Some(3), None, false), RunStatus::UserProcessExited, "exit code 3"),
            (ended(None, Some(11), false), RunStatus::UserProcessExited, "signal 11"),
            (ended(None, None, false), RunStatus::UserProcessExited, "unknown cause"),
            (ended(None, Some(9), true), RunStatus::MemoryLimitReached, "128 MB (it had 1.50 MB"),
        ];
        for (failure, status, text) in table {
            assert_eq!(failure.status, status);
            assert!(failure.message.contains(text), "{}", failure.message);
        }
    }

    #[test]
    fn web_answers_carry_the_number_of_the_status_except_what_does_not_exist() {
        let missing = Failure::from(Lookup::NoFunction(key()));
        assert_eq!((missing.status.code(), missing.http_status().as_u16()), (435, 404));
        assert_eq!(Failure::timed_out(1).http_status().as_u16(), 433);
        assert_eq!(Failure::tunnel().http_status().as_u16(), 501);
        assert_eq!(Failure::internal("x").http_status().as_u16(), 500);
    }

    #[test]
    fn every_status_has_an_http_status() {
        for status in RunStatus::ALL {
            Failure::new(*status, "").http_status();
        }
    }

    #[test]
    fn an_empty_error_answer_is_named_by_its_status() {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        assert_eq!(Failure::answered(status, "boom").message, "boom");
        assert!(Failure::answered(status, " \n").message.contains("HTTP 500"));
    }
}
