//! Where starts spend their time, as a metric.

use std::time::Instant;

use metrics::{Unit, describe_histogram, histogram};

const PHASES: &str = "sampan_start_phase_seconds";

/// A part of a start.
#[derive(Debug, Clone, Copy)]
pub enum Phase {
    /// Waiting for a thread.
    Queue,
    /// Taking namespaces, mounts and cgroup from their pools, or making them where there are none.
    Pool,
    /// From there until the program executes.
    Launch,
    /// From there until its server listens.
    Listen,
}

/// Describes the metric.
pub fn describe() {
    describe_histogram!(PHASES, Unit::Seconds, "Parts of starts: queue, pool, launch, listen");
}

impl Phase {
    /// Records one that ends now.
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
