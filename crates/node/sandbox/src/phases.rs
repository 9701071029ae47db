//! Durations of the phases of starts, as a metric.

use std::time::Instant;

use metrics::{Unit, describe_histogram, histogram};

const PHASES: &str = "sampan_start_phase_seconds";

/// A phase of a start.
#[derive(Debug, Clone, Copy)]
pub enum Phase {
    /// Waiting for a thread.
    Queue,
    /// Taking namespaces, mounts and cgroup from their pools, or creating them when a pool is
    /// empty.
    Pool,
    /// From then until the program executes.
    Launch,
    /// From then until its server listens.
    Listen,
}

/// Describes the metric.
pub fn describe() {
    describe_histogram!(PHASES, Unit::Seconds, "Parts of starts: queue, pool, launch, listen");
}

impl Phase {
    /// Records a phase that ends now.
    pub fn record(self, begun: Instant) {
        let name = match self {
            Self::Queue => "queue",
            Self::Pool => "pool",
            Self::Launch => "launch",
            Self::Listen => "listen",
        };
        histogram!(PHASES, "phase" => name).record(begun.elapsed());
    }
}
