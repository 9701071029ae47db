//! `cargo xtask simulate`: replays a trace of calls under several keep-alive policies for idle
//! instances, and prints the cost of each: cold starts, waits, memory over time.
//!
//! One instance serves one call at a time; the most recently used instance serves the next call.
//! Starts take the same time under all policies. The platform's policy is replayed by its own code
//! (`pool::Replay`), in which a call may also wait for an instance that becomes free sooner than a
//! start would finish. Under the other policies a call without an idle instance starts one.
//! Prewarmed instances of the platform count as idle memory from the beginning of their start, used
//! or not.

mod policy;
mod trace;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use self::policy::Policy;
use self::trace::Function;

/// Options of the simulation.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// A file with lines `function,memory_mb,at_s,run_s` instead of a made trace
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Functions of the made trace
    #[arg(long, default_value_t = 1000)]
    functions: usize,
    /// Days of the made trace
    #[arg(long, default_value_t = 3.0)]
    days: f64,
    /// Another made trace for each number
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

/// Replays the trace and prints the costs.
pub fn run(args: &SimulateArgs) -> anyhow::Result<()> {
    let functions = match &args.trace {
        Some(file) => trace::read(file)?,
        None => trace::generate(args.functions, args.days, args.seed),
    };
    let calls: usize = functions.iter().map(|function| function.calls.len()).sum();
    println!("{} functions, {calls} calls", functions.len());
    let policies = [
        ("fixed 600 s".to_owned(), Policy::Fixed(600.0)),
        ("windows 60 s, 6 s (as Knative)".to_owned(), Policy::Windows { stable_s: 60.0, panic_s: 6.0 }),
        ("sampan, keep_idle_s = 60".to_owned(), Policy::sampan(60)),
        ("sampan, keep_idle_s = 300".to_owned(), Policy::sampan(300)),
        ("sampan, keep_idle_s = 600".to_owned(), Policy::sampan(600)),
        ("sampan, keep_idle_s = 700".to_owned(), Policy::sampan(700)),
        ("sampan, keep_idle_s = 900".to_owned(), Policy::sampan(900)),
    ];
    println!("{:32} {:>10} {:>10} {:>10} {:>14}", "policy", "cold", "wait p50", "wait p99", "idle GB-hours");
    let mut fixed = None;
    for (name, policy) in policies {
        let mut cost = Cost::default();
        for function in &functions {
            replay(function, &policy, args.cold_start_ms, &mut cost);
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

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.max(0.0))
}

/// Instances of one function that are kept for a fixed time.
struct Fixed {
    keep_s: f64,
    /// Times at which the serving instances become free.
    busy: Vec<f64>,
    /// Times since which the other instances are idle, the most recently used one last.
    idle: Vec<f64>,
    held_s: f64,
}

impl Fixed {
    /// Moves instances that have become free by `now` to the idle ones.
    fn settle(&mut self, now: f64) {
        let mut done: Vec<f64> = self.busy.extract_if(.., |end| *end <= now).collect();
        done.sort_by(f64::total_cmp);
        self.idle.extend(done);
    }

    /// Assigns a call; returns whether an instance was ready for it.
    fn call(&mut self, at: f64) -> bool {
        self.settle(at);
        let Some(since) = self.idle.pop() else { return false };
        self.held_s += (at - since).min(self.keep_s);
        at - since < self.keep_s
    }

    fn end(&mut self) -> f64 {
        self.settle(f64::INFINITY);
        self.held_s + self.idle.len() as f64 * self.keep_s
    }
}

fn replay(function: &Function, policy: &Policy, cold_start_ms: f64, cost: &mut Cost) {
    let mut calls = function.calls.clone();
    calls.sort_by(|a, b| a.0.total_cmp(&b.0));
    let start_s = cold_start_ms / 1e3;
    let Replay { waits_s, cold, held_s } = match policy {
        Policy::Sampan(config) => replay_sampan(&calls, config, start_s),
        Policy::Fixed(keep_s) => replay_fixed(&calls, *keep_s, start_s),
        Policy::Windows { stable_s, panic_s } => replay_fixed(&calls, stable_s + panic_s, start_s),
    };
    cost.calls += waits_s.len() as u64;
    cost.cold += cold;
    cost.waits_ms.extend(waits_s.iter().map(|wait_s| wait_s * 1e3));
    cost.memory_mb_s += function.memory_mb * held_s;
}

/// Replay of one function under one policy.
struct Replay {
    waits_s: Vec<f64>,
    cold: u64,
    /// Total idle time of instances, in seconds.
    held_s: f64,
}

fn replay_sampan(calls: &[(f64, f64)], config: &pool::Config, start_s: f64) -> Replay {
    let mut replay = pool::Replay::new(config, seconds(start_s));
    for (at, run) in calls {
        replay.call(seconds(*at), seconds(*run));
    }
    let replayed = replay.finish();
    let waits_s = replayed.waits.iter().map(Duration::as_secs_f64).collect();
    Replay { waits_s, cold: replayed.cold_starts, held_s: replayed.idle.as_secs_f64() }
}

fn replay_fixed(calls: &[(f64, f64)], keep_s: f64, start_s: f64) -> Replay {
    let mut instances = Fixed { keep_s, busy: Vec::new(), idle: Vec::new(), held_s: 0.0 };
    let waits_s = calls.iter().map(|(at, run)| {
        let wait_s = if instances.call(*at) { 0.0 } else { start_s };
        instances.busy.push(at + wait_s + run);
        wait_s
    });
    let waits_s: Vec<f64> = waits_s.collect();
    let cold = waits_s.iter().filter(|wait_s| **wait_s > 0.0).count() as u64;
    Replay { waits_s, cold, held_s: instances.end() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(calls: &[(f64, f64)], policy: Policy) -> Cost {
        let mut cost = Cost::default();
        replay(&Function { memory_mb: 100.0, calls: calls.to_vec() }, &policy, 250.0, &mut cost);
        cost
    }

    #[test]
    fn calls_within_the_time_are_warm_and_idle_memory_is_counted() {
        let seen = cost(&[(0.0, 1.0), (31.25, 1.0), (1000.0, 1.0)], Policy::Fixed(100.0));
        assert_eq!((seen.calls, seen.cold), (3, 2));
        // 30 s until the second call, and twice the whole keep-alive time.
        assert!((seen.memory_mb_s / 100.0 - 230.0).abs() < 1e-6, "{seen:?}");
    }

    #[test]
    fn calls_at_once_each_have_an_instance() {
        assert_eq!(cost(&[(0.0, 10.0), (1.0, 10.0), (2.0, 1.0)], Policy::Fixed(100.0)).cold, 3);
    }

    #[test]
    fn the_platforms_policy_learns() {
        let calls: Vec<(f64, f64)> = (0..1000).map(|n| (f64::from(n) * 10.0, 0.1)).collect();
        let (learned, fixed) = (cost(&calls, Policy::sampan(600)), cost(&calls, Policy::Fixed(600.0)));
        assert_eq!((learned.cold, fixed.cold), (1, 1));
        assert!(learned.memory_mb_s < fixed.memory_mb_s - 500.0 * 100.0);
    }
}
