//! What a rollout tells: a line for each step to people, one object at the end to pipelines.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::plan::{Figures, Verdict};
use crate::args::Output;
use crate::args::release::RolloutArgs;
use crate::{output, terminal};

/// What became of a step.
#[derive(Debug, Serialize)]
pub struct Step {
    percent: f64,
    elapsed_ms: u64,
    outcome: &'static str,
    reason: Option<String>,
    /// What the new version did meanwhile.
    new: Figures,
    /// What the old one did, for comparison.
    old: Figures,
}

impl Step {
    /// A step that ended so; `seen` is of the new version and of the old one.
    pub fn new(percent: f64, elapsed: Duration, verdict: &Verdict, seen: (Figures, Figures)) -> Self {
        let (outcome, reason) = match verdict {
            Verdict::GiveUp(reason) => ("given_up", Some(reason.clone())),
            Verdict::Watch | Verdict::Pass => ("passed", None),
        };
        Self { percent, elapsed_ms: elapsed.as_millis() as u64, outcome, reason, new: seen.0, old: seen.1 }
    }
}

/// The report of one rollout.
pub struct Report {
    format: Output,
    names: [String; 5],
    steps: Vec<Step>,
    began: Instant,
}

impl Report {
    /// Begins it.
    pub fn new(args: &RolloutArgs, from: &str, format: Output) -> Self {
        let names =
            [&args.name, &args.namespace, &args.alias, from, &args.to.to_string()].map(|name: &str| name.to_owned());
        Self { format, names, steps: Vec::new(), began: Instant::now() }
    }

    /// A step ended.
    pub fn step(&mut self, step: Step) {
        if self.format == Output::Text {
            let [_, _, alias, from, to] = &self.names;
            println!("{alias}: {}% to version {to}: {}", step.percent, step.outcome.replace('_', " "));
            println!("  version {to}: {}", in_words(&step.new));
            println!("  version {from}: {}", in_words(&step.old));
        }
        self.steps.push(step);
    }

    /// The rollout ended.
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

fn in_words(figures: &Figures) -> String {
    let rate = figures.error_rate.map(|rate| format!(" ({:.2}%)", rate * 100.0)).unwrap_or_default();
    let p95 = figures.p95_ms.map(|p95_ms| format!(", p95 {p95_ms:.1} ms")).unwrap_or_default();
    format!("{} calls, {} errors{rate}{p95}", figures.calls, figures.errors)
}
