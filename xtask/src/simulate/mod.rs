//! `cargo xtask simulate`: replays a trace of calls under several keep-alive policies, and prints
//! the cost of each: cold starts, waits, memory over time.
//!
//! One instance serves one call at a time; the most recently used instance serves the next call; a
//! call without a ready instance starts one. Starts take equally long under all policies. A
//! prewarmed instance counts as idle memory from the beginning of its start, whether it is used or
//! not.

mod policy;
mod trace;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pool::{KeepAlive, KeepAlivePolicy};

use self::policy::{Keeper, Policy};
use self::trace::Function;

/// Arguments of the simulation.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// File with lines `function,memory_mb,at_s,run_s` instead of a generated trace
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Functions in the generated trace
    #[arg(long, default_value_t = 1000)]
    functions: usize,
    /// Days of the generated trace
    #[arg(long, default_value_t = 3.0)]
    days: f64,
    /// Seed of the generated trace
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A cold start of a function, in milliseconds
    #[arg(long, default_value_t = 250.0)]
    cold_start_ms: f64,
}

/// Cost of a policy.
#[derive(Debug, Default)]
struct Cost {
    calls: u64,
    cold: u64,
    memory_mb_s: f64,
    waits_ms: Vec<f64>,
}

/// Simulates and prints.
pub fn run(args: &SimulateArgs) -> anyhow::Result<()> {
    let functions = match &args.trace {
        Some(file) => trace::read(file)?,
        None => trace::generate(args.functions, args.days, args.seed),
    };
    let calls: usize = functions.iter().map(|function| function.calls.len()).sum();
    println!("{} functions, {calls} calls", functions.len());
    let policy = |seconds| KeepAlivePolicy {
        cold_start: Duration::from_secs(seconds),
        keep_min: Duration::from_secs(10),
        keep_max: Duration::from_secs(4 * 3600),
    };
    let sampan = |seconds| Policy::Sampan { forecast: Box::default(), policy: policy(seconds) };
    let policies = [
        ("fixed 600 s".to_owned(), Policy::Fixed(600.0)),
        ("windows 60 s, 6 s (as Knative)".to_owned(), Policy::Windows { stable_s: 60.0, panic_s: 6.0 }),
        ("sampan, keep_idle_s = 60".to_owned(), sampan(60)),
        ("sampan, keep_idle_s = 300".to_owned(), sampan(300)),
        ("sampan, keep_idle_s = 600".to_owned(), sampan(600)),
        ("sampan, keep_idle_s = 700".to_owned(), sampan(700)),
        ("sampan, keep_idle_s = 900".to_owned(), sampan(900)),
    ];
    println!("{:32} {:>10} {:>10} {:>10} {:>14}", "policy", "cold", "wait p50", "wait p99", "idle GB-hours");
    let mut fixed = None;
    for (name, policy) in policies {
        let mut cost = Cost::default();
        for function in &functions {
            replay(function, policy.clone(), args.cold_start_ms, &mut cost);
        }
        cost.waits_ms.sort_by(f64::total_cmp);
        let wait = |share: f64| {
            let place = ((cost.waits_ms.len().saturating_sub(1)) as f64 * share) as usize;
            cost.waits_ms.get(place).copied().unwrap_or_default()
        };
        let (cold, idle) = (cost.cold as f64 / cost.calls.max(1) as f64, cost.memory_mb_s / 1024.0 / 3600.0);
        let (first_cold, first_idle) = *fixed.get_or_insert((cold, idle));
        println!(
            "{name:32} {:>9.3}% {:>7.0} ms {:>7.0} ms {idle:>14.1}   {:+.0}% memory, {:+.0}% cold starts",
            cold * 100.0,
            wait(0.5),
            wait(0.99),
            (idle / first_idle - 1.0) * 100.0,
            (cold / first_cold - 1.0) * 100.0
        );
    }
    println!("goal: at least 30% less memory than fixed 600 s at no more cold starts");
    Ok(())
}

/// An instance without a call, or one stopped for being idle.
struct Idle {
    since: f64,
    plan: KeepAlive,
}

impl Idle {
    fn is_there(&self, now: f64) -> bool {
        self.plan.holds(seconds(now - self.since))
    }

    /// Seconds of idle memory until `now`, including the start of one that was prewarmed again.
    fn held_s(&self, now: f64, start_s: f64) -> f64 {
        let idle = now - self.since;
        match self.plan {
            KeepAlive::For(keep) => idle.min(keep.as_secs_f64()),
            KeepAlive::Prewarm { keep, from, until } => {
                let (from, until) = (from.as_secs_f64(), until.as_secs_f64());
                let returned = if idle > from { idle.min(until) - from + start_s } else { 0.0 };
                idle.min(keep.as_secs_f64()) + returned
            }
        }
    }
}

/// An instance that was prewarmed.
#[derive(Clone, Copy)]
struct Ahead {
    from: f64,
    until: f64,
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.max(0.0))
}

/// One function under one policy.
struct Replay {
    keeper: Keeper,
    start_s: f64,
    /// End times of running calls.
    busy: Vec<f64>,
    /// Idle or stopped instances, most recently used last.
    idle: Vec<Idle>,
    /// Indexed by the number of busy instances that one of them would complete.
    ahead: Vec<Option<Ahead>>,
    held_s: f64,
}

impl Replay {
    /// Moves instances with finished calls to idle.
    fn settle(&mut self, now: f64) {
        let mut done: Vec<f64> = self.busy.extract_if(.., |end| *end <= now).collect();
        done.sort_by(f64::total_cmp);
        let mut level = self.busy.len() + done.len();
        for since in done {
            self.idle.push(Idle { since, plan: self.keeper.plan(level) });
            self.keeper.fall(since);
            level -= 1;
        }
    }

    /// Simulates a call; returns whether an instance was ready for it.
    fn call(&mut self, at: f64) -> bool {
        self.settle(at);
        let level = self.busy.len() + 1;
        let mut warm = false;
        if let Some(instance) = self.idle.pop() {
            warm = instance.is_there(at);
            self.held_s += instance.held_s(at, self.start_s);
        }
        if let Some(ahead) = self.take_ahead(level, at) {
            warm |= (ahead.from + self.start_s..ahead.until).contains(&at);
        }
        self.keeper.rise(at);
        self.look_ahead(level + 1, at);
        warm
    }

    fn take_ahead(&mut self, level: usize, at: f64) -> Option<Ahead> {
        let ahead = self.ahead.get_mut(level)?.take()?;
        self.held_s += at.min(ahead.until) - ahead.from;
        Some(ahead)
    }

    /// Prewarms an instance for `level` when the policy says so, unless an idle one exists that
    /// long.
    fn look_ahead(&mut self, level: usize, at: f64) {
        let until = at + self.keeper.ahead_s(level, at);
        let idle_until = self.idle.last().map_or(0.0, |idle| match idle.plan {
            KeepAlive::For(keep) | KeepAlive::Prewarm { keep, .. } => idle.since + keep.as_secs_f64(),
        });
        if until <= at.max(idle_until) {
            return;
        }
        if self.ahead.len() <= level {
            self.ahead.resize(level + 1, None);
        }
        match &mut self.ahead[level] {
            Some(ahead) if at < ahead.until => ahead.until = until,
            _ => {
                self.take_ahead(level, at);
                // An idle instance needs no start.
                let from = if idle_until > at { idle_until - self.start_s } else { at };
                self.ahead[level] = Some(Ahead { from, until });
            }
        }
    }

    fn end(&mut self) {
        self.settle(f64::INFINITY);
        self.held_s += self.idle.iter().map(|instance| instance.held_s(f64::INFINITY, self.start_s)).sum::<f64>();
        self.held_s += self.ahead.iter().flatten().map(|ahead| ahead.until - ahead.from).sum::<f64>();
    }
}

fn replay(function: &Function, policy: Policy, cold_start_ms: f64, cost: &mut Cost) {
    let mut calls = function.calls.clone();
    calls.sort_by(|a, b| a.0.total_cmp(&b.0));
    let start_s = cold_start_ms / 1e3;
    let keeper = Keeper::new(policy, seconds(start_s));
    let (busy, idle, ahead) = (Vec::new(), Vec::new(), Vec::new());
    let mut replay = Replay { keeper, start_s, busy, idle, ahead, held_s: 0.0 };
    for (at, run) in calls {
        let warm = replay.call(at);
        let wait_s = if warm { 0.0 } else { start_s };
        cost.calls += 1;
        cost.cold += u64::from(!warm);
        cost.waits_ms.push(wait_s * 1e3);
        replay.busy.push(at + wait_s + run);
    }
    replay.end();
    cost.memory_mb_s += function.memory_mb * replay.held_s;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(calls: &[(f64, f64)], policy: Policy) -> Cost {
        let mut cost = Cost::default();
        replay(&Function { memory_mb: 100.0, calls: calls.to_vec() }, policy, 250.0, &mut cost);
        cost
    }

    #[test]
    fn calls_within_the_time_are_warm_and_idle_memory_is_counted() {
        let seen = cost(&[(0.0, 1.0), (31.25, 1.0), (1000.0, 1.0)], Policy::Fixed(100.0));
        assert_eq!((seen.calls, seen.cold), (3, 2));
        // 30 s until the second call, and twice the whole time.
        assert!((seen.memory_mb_s / 100.0 - 230.0).abs() < 1e-6, "{seen:?}");
    }

    #[test]
    fn calls_at_once_each_have_an_instance() {
        assert_eq!(cost(&[(0.0, 10.0), (1.0, 10.0), (2.0, 1.0)], Policy::Fixed(100.0)).cold, 3);
    }

    #[test]
    fn the_platforms_policy_learns() {
        let policy = KeepAlivePolicy {
            cold_start: Duration::from_secs(600),
            keep_min: Duration::from_secs(1),
            keep_max: Duration::from_secs(3600),
        };
        let calls: Vec<(f64, f64)> = (0..1000).map(|n| (f64::from(n) * 10.0, 0.1)).collect();
        let policy = Policy::Sampan { forecast: Box::default(), policy };
        let (learned, fixed) = (cost(&calls, policy), cost(&calls, Policy::Fixed(600.0)));
        assert_eq!((learned.cold, fixed.cold), (1, 1));
        assert!(learned.memory_mb_s < fixed.memory_mb_s - 500.0 * 100.0);
    }
}
