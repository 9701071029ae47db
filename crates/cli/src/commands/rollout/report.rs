//! Output of a rollout: a line per step as text, or one JSON object at the end.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::plan::{Decision, Figures};
use crate::args::Output;
use crate::args::release::RolloutArgs;
use crate::{output, terminal};

/// Result of a step.
#[derive(Debug, Serialize)]
pub struct Step {
    percent: f64,
    elapsed_ms: u64,
    outcome: &'static str,
    reason: Option<String>,
    /// Figures of the new version.
    new: Figures,
    /// Figures of the old version, for comparison only.
    old: Figures,
}

impl Step {
    /// A finished step; `seen` has the figures of the new and of the old version.
    pub fn new(percent: f64, elapsed: Duration, decision: &Decision, seen: (Figures, Figures)) -> Self {
        let (outcome, reason) = match decision {
            Decision::RollBack(reason) => ("given_up", Some(reason.clone())),
            Decision::Continue | Decision::Pass => ("passed", None),
        };
        Self { percent, elapsed_ms: elapsed.as_millis() as u64, outcome, reason, new: seen.0, old: seen.1 }
    }
}

/// Report of one rollout.
pub struct Report {
    format: Output,
    names: [String; 5],
    steps: Vec<Step>,
    began: Instant,
}

impl Report {
    /// Begins a report.
    pub fn new(args: &RolloutArgs, from: &str, format: Output) -> Self {
        let names =
            [&args.name, &args.namespace, &args.alias, from, &args.to.to_string()].map(|name: &str| name.to_owned());
        Self { format, names, steps: Vec::new(), began: Instant::now() }
    }

    /// Adds a finished step.
    pub fn step(&mut self, step: Step) {
        if self.format == Output::Text {
            let [_, _, alias, from, to] = &self.names;
            println!("{alias}: {}% to version {to}: {}", step.percent, step.outcome.replace('_', " "));
            println!("  version {to}: {}", as_text(&step.new));
            println!("  version {from}: {}", as_text(&step.old));
        }
        self.steps.push(step);
    }

    /// Ends the report.
    pub fn end(&self, outcome: &str, reason: &str) -> anyhow::Result<()> {
        let [function, namespace, alias, from, to] = &self.names;
        match self.format {
            Output::Json => output::json(&json!({
                "function": function, "namespace": namespace, "alias": alias, "from": from, "to": to,
                "outcome": outcome, "reason": reason, "steps": self.steps,
                "elapsed_ms": self.began.elapsed().as_millis() as u64,
            })),
            Output::Text => {
                let reason = if reason.is_empty() { String::new() } else { format!(": {}", terminal::message(reason)) };
                println!("{alias}: {}{reason}", outcome.replace('_', " "));
                Ok(())
            }
        }
    }
}

fn as_text(figures: &Figures) -> String {
    let rate = figures.error_rate.map(|rate| format!(" ({:.2}%)", rate * 100.0)).unwrap_or_default();
    let p95 = figures.p95_ms.map(|p95_ms| format!(", p95 {p95_ms:.1} ms")).unwrap_or_default();
    format!("{} calls, {} errors{rate}{p95}", figures.calls, figures.errors)
}
