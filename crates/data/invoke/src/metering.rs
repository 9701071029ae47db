//! The metrics of invocations, and of the instances that serve them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use parking_lot::Mutex;
use pool::{ColdStart, Process};
use tokio::time::{MissedTickBehavior, interval};
use types::{CatalogVersion, FunctionKey, RunStatus};

const INVOCATIONS: &str = "sampan_invocations_total";
const HTTP_ERRORS: &str = "sampan_http_errors_total";
const DURATION: &str = "sampan_invocation_duration_seconds";
const COLD_STARTS: &str = "sampan_cold_starts_total";
const COLD_START_DURATION: &str = "sampan_cold_start_duration_seconds";
const OUT_FLOW: &str = "sampan_out_flow_bytes_total";

/// Interval at which the egress of instances is read.
const OUT_FLOW_EVERY: Duration = Duration::from_secs(1);

/// Describes the metrics.
pub(crate) fn describe() {
    describe_counter!(
        INVOCATIONS,
        "Invocations that ended, by function, namespace, version and status code of the run"
    );
    describe_counter!(HTTP_ERRORS, "Answers of web functions with an HTTP status of 400 or more, by version and class");
    describe_histogram!(DURATION, Unit::Seconds, "Time of a run, without the start of its instance");
    describe_counter!(COLD_STARTS, "Invocations that waited for the start of the instance that served them");
    describe_histogram!(COLD_START_DURATION, Unit::Seconds, "Time of such a start");
    let out_flow = "Bytes that instances sent to the world outside, answers to their callers not among them";
    describe_counter!(OUT_FLOW, Unit::Bytes, out_flow);
}

/// The two metric series of every successful run of a version, looked up once.
pub(crate) struct Successes {
    duration: Histogram,
    invocations: Counter,
}

impl Successes {
    /// Looks up the series of a version.
    pub fn of(version: &CatalogVersion) -> Self {
        Self { duration: durations(&version.function.key), invocations: invocations(version, RunStatus::Success) }
    }

    /// Counts a run.
    pub fn count(&self, duration: Duration) {
        self.duration.record(duration);
        self.invocations.increment(1);
    }
}

/// Counts an invocation of a version that ended; `duration` when something ran.
pub(crate) fn invocation(version: &CatalogVersion, status: RunStatus, duration: Option<Duration>) {
    if let Some(duration) = duration {
        durations(&version.function.key).record(duration);
    }
    invocations(version, status).increment(1);
}

fn durations(function: &FunctionKey) -> Histogram {
    let (name, namespace) = (function.name.as_str().to_owned(), function.namespace.as_str().to_owned());
    histogram!(DURATION, "function" => name, "namespace" => namespace)
}

fn invocations(version: &CatalogVersion, status: RunStatus) -> Counter {
    let function = &version.function.key;
    let (name, namespace) = (function.name.as_str().to_owned(), function.namespace.as_str().to_owned());
    let status = status.code().to_string();
    let version = version.key.version.to_string();
    counter!(
        INVOCATIONS, "function" => name, "namespace" => namespace, "version" => version, "status" => status
    )
}

/// Counts a web function's response with an HTTP error status; its invocation counts as successful.
pub(crate) fn answered(version: &CatalogVersion, status: StatusCode) {
    let class = match status.as_u16() {
        0..400 => return,
        400..500 => "4xx",
        _ => "5xx",
    };
    let function = &version.function.key;
    let (name, namespace) = (function.name.as_str().to_owned(), function.namespace.as_str().to_owned());
    let version = version.key.version.to_string();
    counter!(HTTP_ERRORS, "function" => name, "namespace" => namespace, "version" => version, "class" => class)
        .increment(1);
}

/// Counts a cold start that an invocation waited for.
pub(crate) fn cold_start(function: &FunctionKey, cold: &ColdStart) {
    let (name, namespace) = (function.name.as_str().to_owned(), function.namespace.as_str().to_owned());
    counter!(COLD_STARTS, "function" => name.clone(), "namespace" => namespace.clone()).increment(1);
    histogram!(COLD_START_DURATION, "function" => name, "namespace" => namespace).record(cold.total());
}

/// Counts the egress of instances (`OutFlow`, contract 4.7): once a second, of those that served
/// requests, since reading it takes the kernel longer than a request.
#[derive(Default)]
pub(crate) struct OutFlows {
    served: Mutex<Vec<Weak<OutFlow>>>,
}

impl OutFlows {
    /// Schedules the instance's egress to be counted.
    pub fn served(&self, instance: &Arc<OutFlow>) {
        if !instance.due.swap(true, Ordering::AcqRel) {
            self.served.lock().push(Arc::downgrade(instance));
        }
    }

    /// Counts until the future is dropped.
    pub async fn run(&self) {
        let mut ticks = interval(OUT_FLOW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let served = std::mem::take(&mut *self.served.lock());
            for instance in served.iter().filter_map(Weak::upgrade) {
                // First, so that a request that ends from here on schedules another count.
                instance.due.store(false, Ordering::Release);
                instance.count();
            }
        }
    }
}

/// The egress of one instance, each byte counted once even if it serves many requests. Bytes sent
/// after the last count are counted when this is dropped.
pub(crate) struct OutFlow {
    process: Arc<dyn Process>,
    function: FunctionKey,
    counted: Counted,
    /// Whether it served requests since the last count.
    due: AtomicBool,
}

impl OutFlow {
    /// Counts the egress of a function's started instance.
    pub fn new(process: Arc<dyn Process>, function: FunctionKey) -> Self {
        Self { process, function, counted: Counted::default(), due: AtomicBool::new(false) }
    }

    fn count(&self) {
        let new = self.counted.up_to(self.process.network_bytes().sent);
        if new > 0 {
            let name = self.function.name.as_str().to_owned();
            let namespace = self.function.namespace.as_str().to_owned();
            counter!(OUT_FLOW, "function" => name, "namespace" => namespace).increment(new);
        }
    }
}

impl Drop for OutFlow {
    fn drop(&mut self) {
        self.count();
    }
}

/// The counted part of a growing number.
#[derive(Default)]
struct Counted(AtomicU64);

impl Counted {
    /// The uncounted part of `total`. Requests that end together read it in any order, so it may be
    /// less than before.
    fn up_to(&self, total: u64) -> u64 {
        total.saturating_sub(self.0.fetch_max(total, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_counted_once_in_whatever_order_totals_come() {
        let counted = Counted::default();
        let new: Vec<_> = [0, 100, 100, 350, 200, 0, 351].map(|total| counted.up_to(total)).into();
        assert_eq!(new, [0, 100, 0, 250, 0, 0, 1]);
    }
}
