//! What is counted of each invocation, for Prometheus.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use pool::ColdStart;
use types::{FunctionKey, RunStatus};

const INVOCATIONS: &str = "sampan_invocations_total";
const DURATION: &str = "sampan_invocation_duration_seconds";
const COLD_STARTS: &str = "sampan_cold_starts_total";
const COLD_START_DURATION: &str = "sampan_cold_start_duration_seconds";

/// Says what each metric is.
pub(crate) fn describe() {
    describe_counter!(INVOCATIONS, "Invocations that ended, by function, namespace and status code of the run");
    describe_histogram!(DURATION, Unit::Seconds, "Time of a run, without the start of its instance");
    describe_counter!(COLD_STARTS, "Invocations that waited for the start of the instance that served them");
    describe_histogram!(COLD_START_DURATION, Unit::Seconds, "Time of such a start");
}

/// Counts an invocation that ended; `duration` when something ran.
pub(crate) fn invocation(function: &FunctionKey, status: RunStatus, duration: Option<Duration>) {
    let (name, namespace) = (function.name.as_str().to_owned(), function.namespace.as_str().to_owned());
    if let Some(duration) = duration {
        histogram!(DURATION, "function" => name.clone(), "namespace" => namespace.clone()).record(duration);
    }
    let status = status.code().to_string();
    counter!(INVOCATIONS, "function" => name, "namespace" => namespace, "status" => status).increment(1);
}

/// Counts a cold start that an invocation waited for.
pub(crate) fn cold_start(function: &FunctionKey, cold: &ColdStart) {
    let (name, namespace) = (function.name.as_str().to_owned(), function.namespace.as_str().to_owned());
    counter!(COLD_STARTS, "function" => name.clone(), "namespace" => namespace.clone()).increment(1);
    histogram!(COLD_START_DURATION, "function" => name, "namespace" => namespace).record(cold.total());
}
