//! `sampan rollout`: leads an alias to a new version step by step, watches what becomes of its calls, and leads it back by
//! itself when they go wrong. Decisions are in `plan`; this is the way from one step to the next.

mod lead;
mod measure;
mod metrics;
mod plan;
mod report;
mod stop;

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use self::lead::{Lead, Leader};
use self::measure::Meter;
use self::plan::{Figures, Limits, Verdict, judge};
use self::report::{Report, Step};
use self::stop::Stop;
use crate::args::release::RolloutArgs;
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::print;

/// Shortest and longest time between two looks.
const LOOK_INTERVAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Looks in a row that may fail before the rollout is given up.
const FAILED_LOOKS_MAX: u32 = 10;
/// Intervals that a step may wait for calls when nothing else is said.
const STEP_TIMEOUT_INTERVALS: u32 = 10;

/// How a rollout ended.
enum Ended {
    /// The last step passed.
    Done,
    /// The alias leads to the version that it had.
    RolledBack(String),
    /// It could not be led back, or is somebody else's now.
    Failed(anyhow::Error),
}

/// Rolls the version out.
pub async fn run(connection: &Connection, args: RolloutArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    // An alias must not stay between two versions because nothing reads the report.
    print::outlive_reader();
    let mut stop = Stop::listen()?;
    let to = args.to.to_string();
    require_active(&client, &args, &to).await?;
    let (leader, from) = Leader::begin(&client, &args.name, &args.namespace, &args.alias, &to).await?;
    let mut report = Report::new(&args, &from, format);
    if from == to {
        return report.end("done", "the alias leads to the version already");
    }
    let meter = Meter { client: &client, function: &args.name, namespace: &args.namespace };
    let mut rollout = Rollout { limits: limits(&args), from, to, leader, meter };
    let ended = rollout.walk(&args.steps.0, &mut stop, &mut report).await;
    match ended {
        Ended::Done => report.end("done", ""),
        Ended::RolledBack(reason) => {
            report.end("rolled_back", &reason)?;
            let hint = format!("`sampan logs {} --failed` has the calls that failed.", args.name);
            let message = format!("version {} was rolled back: {reason}", rollout.to);
            Err(Failure::new(Exit::RolledBack, message, hint).into())
        }
        Ended::Failed(error) => {
            report.end("failed", &format!("{error:#}"))?;
            Err(error)
        }
    }
}

fn limits(args: &RolloutArgs) -> Limits {
    Limits {
        interval: args.interval,
        step_timeout: args.step_timeout.unwrap_or(args.interval * STEP_TIMEOUT_INTERVALS),
        max_error_rate: args.max_error_rate,
        max_p95: args.max_p95,
        min_calls: args.min_calls,
    }
}

async fn require_active(client: &Client, args: &RolloutArgs, to: &str) -> anyhow::Result<()> {
    let query = json!({"FunctionName": args.name, "Namespace": args.namespace, "Qualifier": to});
    let found = client.call("GetFunction", &query).await?;
    match found.get("Status").and_then(Value::as_str) {
        Some("Active") => Ok(()),
        status => {
            let message = format!("version {to} of {} is {}", args.name, status.unwrap_or("in no known state"));
            Err(Failure::new(Exit::Failed, message, "Wait until it is Active, or publish again.").into())
        }
    }
}

/// A rollout under way.
struct Rollout<'a> {
    limits: Limits,
    /// The version that the alias had.
    from: String,
    /// The new version.
    to: String,
    leader: Leader<'a>,
    meter: Meter<'a>,
}

impl Rollout<'_> {
    async fn walk(&mut self, steps: &[f64], stop: &mut Stop, report: &mut Report) -> Ended {
        for percent in steps {
            match self.step(*percent, stop, report).await {
                Ok(Verdict::Pass | Verdict::Watch) => {}
                Ok(Verdict::GiveUp(reason)) => return self.back(reason).await,
                Err(error) if lead::is_foreign(&error) => return Ended::Failed(error),
                Err(error) => return self.back(format!("{error:#}")).await,
            }
        }
        Ended::Done
    }

    async fn back(&mut self, reason: String) -> Ended {
        let route = Lead::all_to(&self.from);
        match self.leader.lead(route).await {
            Ok(_) => Ended::RolledBack(reason),
            Err(error) => {
                let version = &self.from;
                Ended::Failed(error.context(format!(
                    "the rollout was given up ({reason}), and the alias could not be led back to version {version}"
                )))
            }
        }
    }

    /// Leads the share to the new version and watches until the step passes or is given up.
    async fn step(&mut self, percent: f64, stop: &mut Stop, report: &mut Report) -> anyhow::Result<Verdict> {
        let before = self.meter.counters(&self.to, &self.from).await?;
        let since = self.leader.lead(Lead::share(&self.from, &self.to, percent)).await?;
        let began = Instant::now();
        let look_interval = (self.limits.interval / 10).clamp(LOOK_INTERVAL.0, LOOK_INTERVAL.1);
        let (mut failed_looks, mut seen) = (0, (Figures::default(), Figures::default()));
        let verdict = loop {
            let next_look = async {
                tokio::time::sleep(look_interval).await;
                self.look(before, &since, began.elapsed(), &mut seen).await
            };
            let looked = tokio::select! {
                biased;
                signal = stop.requested() => break Verdict::GiveUp(format!("{signal} was received")),
                looked = next_look => looked,
            };
            match looked {
                Ok(Verdict::Watch) => failed_looks = 0,
                Ok(verdict) => break verdict,
                Err(error) if failed_looks >= FAILED_LOOKS_MAX => {
                    return Err(error).context("the calls of the versions cannot be counted");
                }
                Err(_) => failed_looks += 1,
            }
        };
        report.step(Step::new(percent, began.elapsed(), &verdict, seen));
        Ok(verdict)
    }

    /// Judges what came since the step began; `seen` holds it, of the new version and of the old one.
    async fn look(
        &self,
        before: (plan::Counters, plan::Counters),
        since: &str,
        elapsed: Duration,
        seen: &mut (Figures, Figures),
    ) -> anyhow::Result<Verdict> {
        let now = self.meter.counters(&self.to, &self.from).await?;
        *seen = (Figures::of(now.0.since(before.0)), Figures::of(now.1.since(before.1)));
        match judge(&self.limits, elapsed, &seen.0) {
            Verdict::Watch => Ok(Verdict::Watch),
            // The share of failed calls decides by itself; the times are only told then.
            Verdict::GiveUp(reason) => {
                seen.0.p95_ms = self.meter.p95_ms(&self.to, since, elapsed).await.unwrap_or_default();
                seen.1.p95_ms = self.meter.p95_ms(&self.from, since, elapsed).await.unwrap_or_default();
                Ok(Verdict::GiveUp(reason))
            }
            Verdict::Pass => {
                seen.0.p95_ms = self.meter.p95_ms(&self.to, since, elapsed).await?;
                seen.1.p95_ms = self.meter.p95_ms(&self.from, since, elapsed).await?;
                Ok(judge(&self.limits, elapsed, &seen.0))
            }
        }
    }
}
