//! Numbers of prewarmed items of each kind, as metrics.

use metrics::{Unit, describe_gauge, gauge};

const READY: &str = "sampan_prewarmed";
const WANTED: &str = "sampan_prewarmed_wanted";

/// Describes the metrics.
pub fn describe() {
    describe_gauge!(
        READY,
        Unit::Count,
        "What is ready for the next starts: cgroups, namespaces with and without a link"
    );
    describe_gauge!(WANTED, Unit::Count, "How many are to be ready, by the busiest second of late");
}

/// Reports a kind whose number or target has changed.
pub fn report(kind: &'static str, ready: usize, wanted: usize) {
    gauge!(READY, "kind" => kind).set(ready as f64);
    gauge!(WANTED, "kind" => kind).set(wanted as f64);
}
