//! Runs in answers: as the result of a call, in the logs, and as a state (contract 3).

use events::{EventStatus, RunState};
use invoke::EventResult;
use logs::Invocation;
use types::wire::{FunctionLog, RequestStatus, RunResult};
use types::{FunctionKey, InstanceId, RunStatus};

use types::UtcOffset;

/// Bytes of a MB in the memory usage of `GetRequestStatus`.
const MB: f64 = 1_048_576.0;

/// Result of a call; `log` is the requested tail of its log.
pub(crate) fn result(run: EventResult, log: String) -> RunResult {
    RunResult {
        log,
        invoke_result: if run.status.is_success() { 0 } else { -1 },
        ret_msg: run.ret_msg,
        err_msg: run.error_message.unwrap_or_default(),
        mem_usage: run.memory_bytes,
        duration: run.duration.as_micros() as f64 / 1000.0,
        bill_duration: run.bill_duration_ms,
        function_request_id: run.request_id.to_string(),
    }
}

/// Result of a finished asynchronous event, without the run's usage; `None` when it is no longer
/// retained.
pub(crate) fn event_result(event: EventStatus) -> Option<RunResult> {
    let text = event.result?;
    let status = event.status.unwrap_or(RunStatus::InternalError);
    let success = event.state == RunState::Finished;
    let failed = serde_json::json!({
        "errorCode": -1, "errorMessage": text, "requestId": event.request_id.as_str(), "statusCode": status.code(),
    });
    let (ret_msg, err_msg) = if success { (text, String::new()) } else { (failed.to_string(), text) };
    let invoke_result = if success { 0 } else { -1 };
    Some(RunResult { ret_msg, err_msg, invoke_result, ..RunResult::accepted(&event.request_id) })
}

/// Adds the run's usage, if the log has it.
pub(crate) fn with_usage(result: RunResult, run: Option<Invocation>) -> RunResult {
    let Some(run) = run else { return result };
    let duration = run.duration_us as f64 / 1000.0;
    RunResult { mem_usage: run.memory_bytes, duration, bill_duration: run.bill_duration_ms, ..result }
}

/// A run with its log.
pub(crate) fn log(run: Invocation, offset: UtcOffset) -> FunctionLog {
    FunctionLog {
        ret_code: log_code(&run),
        function_name: run.function.name.to_string(),
        ret_msg: run.ret_msg,
        request_id: run.request_id.to_string(),
        start_time: offset.format(run.start_ms),
        invoke_finished: i32::from(run.finished),
        duration: run.duration_us as f64 / 1000.0,
        bill_duration: run.bill_duration_ms,
        mem_usage: run.memory_bytes,
        log: run.log,
        level: "",
        source: "",
        retry_num: run.retry_num,
    }
}

/// Output of an instance outside requests, in the form of a finished run; the caller appends the
/// lines.
pub(crate) fn instance(function: &FunctionKey, id: &InstanceId, first_ms: i64, offset: UtcOffset) -> FunctionLog {
    FunctionLog {
        function_name: function.name.to_string(),
        ret_msg: String::new(),
        request_id: id.to_string(),
        start_time: offset.format(first_ms),
        ret_code: 0,
        invoke_finished: 1,
        duration: 0.0,
        bill_duration: 0,
        mem_usage: 0,
        log: String::new(),
        level: "",
        source: "",
        retry_num: 0,
    }
}

/// The state of a run.
pub(crate) fn status(run: Invocation, offset: UtcOffset) -> RequestStatus {
    RequestStatus {
        ret_code: status_code(&run),
        function_name: run.function.name.to_string(),
        ret_msg: run.ret_msg,
        request_id: run.request_id.to_string(),
        start_time: offset.format(run.start_ms),
        duration: run.duration_us as f64 / 1000.0,
        mem_usage: run.memory_bytes as f64 / MB,
        retry_num: run.retry_num,
    }
}

/// 0 ok, 2 running, 3 interrupted, else the status of the failed run.
fn log_code(run: &Invocation) -> i32 {
    match (run.finished, run.status) {
        (false, _) => 2,
        (true, None) => 3,
        (true, Some(status)) if status.is_success() => 0,
        (true, Some(status)) => i32::from(status.code()),
    }
}

/// 0 ok, 1 running, −1 failed or interrupted.
fn status_code(run: &Invocation) -> i32 {
    match (run.finished, run.status) {
        (false, _) => 1,
        (true, Some(status)) if status.is_success() => 0,
        (true, _) => -1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use types::{Namespace, RequestId, RunStatus, VersionName};

    use super::*;

    fn run(finished: bool, status: Option<RunStatus>) -> Invocation {
        Invocation {
            request_id: RequestId::random(),
            function: FunctionKey { namespace: Namespace::default_namespace(), name: "hello".parse().expect("valid") },
            version: VersionName::Latest,
            qualifier: "$DEFAULT".to_owned(),
            start_ms: 1_551_113_065_000,
            finished,
            status,
            ret_msg: "1".to_owned(),
            duration_us: 1_532,
            bill_duration_ms: 2,
            memory_bytes: 3 << 19,
            retry_num: 0,
            log: "line\n".to_owned(),
        }
    }

    #[test]
    fn each_end_has_its_code() {
        let table = [
            (true, Some(RunStatus::Success), 0, 0, 1),
            (false, None, 2, 1, 0),
            (true, None, 3, -1, 1),
            (true, Some(RunStatus::TimeLimitReached), 433, -1, 1),
        ];
        for (finished, status, in_logs, in_status, invoke_finished) in table {
            let line = log(run(finished, status), UtcOffset::CHINA);
            assert_eq!((line.ret_code, line.invoke_finished), (in_logs, invoke_finished));
            assert_eq!(super::status(run(finished, status), UtcOffset::CHINA).ret_code, in_status);
        }
    }

    #[test]
    fn units_are_those_of_the_contract() {
        let line = log(run(true, Some(RunStatus::Success)), UtcOffset::CHINA);
        assert_eq!((line.duration, line.bill_duration, line.mem_usage), (1.532, 2, 3 << 19));
        assert_eq!(line.start_time, "2019-02-26 00:44:25");
        assert_eq!(status(run(true, None), UtcOffset::CHINA).mem_usage, 1.5);
    }

    #[test]
    fn a_failed_run_is_a_result() {
        let failed = EventResult {
            request_id: RequestId::random(),
            status: RunStatus::TimeLimitReached,
            ret_msg: "{}".to_owned(),
            public_ret_msg: None,
            error_message: Some("timed out".to_owned()),
            retry_after: None,
            duration: Duration::from_micros(3_000_100),
            bill_duration_ms: 3001,
            memory_bytes: 1,
            exit: None,
            cold: None,
        };
        let shown = result(failed, String::new());
        assert_eq!((shown.invoke_result, shown.err_msg.as_str()), (-1, "timed out"));
        assert_eq!((shown.duration, shown.bill_duration), (3000.1, 3001));
    }
}
