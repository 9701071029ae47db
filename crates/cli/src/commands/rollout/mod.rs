//! `sampan rollout`: moves an alias to a new version in weighted steps, measures its calls, and
//! rolls back on failures. `plan` has the decisions.

mod alias;
mod measure;
mod metrics;
mod plan;
mod report;
mod stop;

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use self::alias::{AliasTarget, AliasUpdater};
use self::measure::Meter;
use self::plan::{Decision, Figures, Limits, decide};
use self::report::{Report, Step};
use self::stop::Stop;
use crate::args::release::RolloutArgs;
use crate::args::{Connection, Output};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::print;

/// Shortest and longest polling interval.
const POLL_INTERVAL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Consecutive failed measurements after which the rollout fails.
const FAILED_POLLS_MAX: u32 = 10;
/// Default timeout of a step, in intervals.
const STEP_TIMEOUT_INTERVALS: u32 = 10;

/// Outcome of a rollout.
enum Outcome {
    /// All steps passed.
    Done,
    /// The alias was set back to its former version.
    RolledBack(String),
    /// The alias could not be set back, or was changed concurrently.
    Failed(anyhow::Error),
}

/// Rolls the version out.
pub async fn run(connection: &Connection, args: RolloutArgs, format: Output) -> anyhow::Result<()> {
    let client = Client::new(connection)?;
    // A closed pipe must not leave the alias between two versions.
    print::outlive_reader();
    let mut stop = Stop::listen()?;
    let to = args.to.to_string();
    require_active(&client, &args, &to).await?;
    let (updater, from) = AliasUpdater::begin(&client, &args.name, &args.namespace, &args.alias, &to).await?;
    let mut report = Report::new(&args, &from, format);
    if from == to {
        return report.end("done", "the alias already points to the version");
    }
    let meter = Meter { client: &client, function: &args.name, namespace: &args.namespace };
    let mut rollout = Rollout { limits: limits(&args), from, to, updater, meter };
    let outcome = rollout.run_steps(&args.steps.0, &mut stop, &mut report).await;
    match outcome {
        Outcome::Done => report.end("done", ""),
        Outcome::RolledBack(reason) => {
            report.end("rolled_back", &reason)?;
            let hint = format!("`sampan logs {} --failed` shows the failed calls.", args.name);
            let message = format!("version {} was rolled back: {reason}", rollout.to);
            Err(Failure::new(Exit::RolledBack, message, hint).into())
        }
        Outcome::Failed(error) => {
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

/// A running rollout.
struct Rollout<'a> {
    limits: Limits,
    /// The alias's former version.
    from: String,
    /// The new version.
    to: String,
    updater: AliasUpdater<'a>,
    meter: Meter<'a>,
}

impl Rollout<'_> {
    async fn run_steps(&mut self, steps: &[f64], stop: &mut Stop, report: &mut Report) -> Outcome {
        for percent in steps {
            match self.step(*percent, stop, report).await {
                Ok(Decision::Pass | Decision::Continue) => {}
                Ok(Decision::RollBack(reason)) => return self.roll_back(reason).await,
                Err(error) if alias::is_concurrent_change(&error) => return Outcome::Failed(error),
                Err(error) => return self.roll_back(format!("{error:#}")).await,
            }
        }
        Outcome::Done
    }

    async fn roll_back(&mut self, reason: String) -> Outcome {
        let route = AliasTarget::all_to(&self.from);
        match self.updater.set(route).await {
            Ok(_) => Outcome::RolledBack(reason),
            Err(error) => {
                let version = &self.from;
                Outcome::Failed(error.context(format!(
                    "the rollout failed ({reason}), and the alias could not be set back to version {version}"
                )))
            }
        }
    }

    /// Sets the step's share and measures until the step passes or fails.
    async fn step(&mut self, percent: f64, stop: &mut Stop, report: &mut Report) -> anyhow::Result<Decision> {
        let before = self.meter.counters(&self.to, &self.from).await?;
        let since = self.updater.set(AliasTarget::share(&self.from, &self.to, percent)).await?;
        let began = Instant::now();
        let poll_interval = (self.limits.interval / 10).clamp(POLL_INTERVAL.0, POLL_INTERVAL.1);
        let (mut failed_polls, mut seen) = (0, (Figures::default(), Figures::default()));
        let decision = loop {
            let next_poll = async {
                tokio::time::sleep(poll_interval).await;
                self.look(before, &since, began.elapsed(), &mut seen).await
            };
            let polled = tokio::select! {
                biased;
                signal = stop.requested() => break Decision::RollBack(format!("{signal} was received")),
                polled = next_poll => polled,
            };
            match polled {
                Ok(Decision::Continue) => failed_polls = 0,
                Ok(decision) => break decision,
                Err(error) if failed_polls >= FAILED_POLLS_MAX => {
                    return Err(error).context("cannot count the calls of the versions");
                }
                Err(_) => failed_polls += 1,
            }
        };
        report.step(Step::new(percent, began.elapsed(), &decision, seen));
        Ok(decision)
    }

    /// Measures both versions since the step began, and decides by the new one's figures.
    async fn look(
        &self,
        before: (plan::Counters, plan::Counters),
        since: &str,
        elapsed: Duration,
        seen: &mut (Figures, Figures),
    ) -> anyhow::Result<Decision> {
        let now = self.meter.counters(&self.to, &self.from).await?;
        *seen = (Figures::of(now.0.since(before.0)), Figures::of(now.1.since(before.1)));
        match decide(&self.limits, elapsed, &seen.0) {
            Decision::Continue => Ok(Decision::Continue),
            // The failure rate suffices for the decision; durations are only reported.
            Decision::RollBack(reason) => {
                seen.0.p95_ms = self.meter.p95_ms(&self.to, since, elapsed).await.unwrap_or_default();
                seen.1.p95_ms = self.meter.p95_ms(&self.from, since, elapsed).await.unwrap_or_default();
                Ok(Decision::RollBack(reason))
            }
            Decision::Pass => {
                seen.0.p95_ms = self.meter.p95_ms(&self.to, since, elapsed).await?;
                seen.1.p95_ms = self.meter.p95_ms(&self.from, since, elapsed).await?;
                Ok(decide(&self.limits, elapsed, &seen.0))
            }
        }
    }
}
