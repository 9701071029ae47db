//! `cargo xtask simulate`: replays a trace of calls under several policies of keeping idle instances, and prints what each
//! costs: cold starts, waits, memory over time.
//!
//! One instance serves one call at a time; the instance used last serves the next call; a call that finds none idle starts
//! one. Starts take the same under all policies, so that only keeping differs.

mod policy;
mod trace;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pool::{Experience, Worth};

use self::policy::Policy;
use self::trace::Function;

/// What is simulated.
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

/// What a policy came to.
#[derive(Debug, Default)]
struct Cost {
    calls: u64,
    cold: u64,
    memory_mb_s: f64,
    waits_ms: Vec<f64>,
}

/// Replays and prints.
pub fn run(args: &SimulateArgs) -> anyhow::Result<()> {
    let functions = match &args.trace {
        Some(file) => trace::read(file)?,
        None => trace::generate(args.functions, args.days, args.seed),
    };
    let calls: usize = functions.iter().map(|function| function.calls.len()).sum();
    println!("{} functions, {calls} calls", functions.len());
    let worth = |seconds| Worth {
        cold_start: Duration::from_secs(seconds),
        keep_min: Duration::from_secs(10),
        keep_max: Duration::from_secs(4 * 3600),
    };
    let sampan = |seconds| Policy::Sampan { experience: Experience::default(), worth: worth(seconds) };
    let policies = [
        ("fixed 600 s".to_owned(), Policy::Fixed(600.0)),
        ("windows 60 s, 6 s (as Knative)".to_owned(), Policy::Windows { stable_s: 60.0, panic_s: 6.0 }),
        ("sampan, keep_idle_s = 60".to_owned(), sampan(60)),
        ("sampan, keep_idle_s = 600".to_owned(), sampan(600)),
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

/// An instance that serves nobody.
struct Idle {
    since: f64,
    /// It goes then, unless it is used.
    until: f64,
}

fn replay(function: &Function, mut policy: Policy, cold_start_ms: f64, cost: &mut Cost) {
    let mut calls = function.calls.clone();
    calls.sort_by(|a, b| a.0.total_cmp(&b.0));
    // When instances come free that serve now; and those that are idle, the one used last on top.
    let (mut busy, mut idle): (Vec<f64>, Vec<Idle>) = (Vec::new(), Vec::new());
    let mut stopped: Vec<f64> = Vec::new();
    let settle = |now: f64, busy: &mut Vec<f64>, idle: &mut Vec<Idle>, stopped: &mut Vec<f64>, policy: &Policy| {
        let mut done: Vec<f64> = busy.extract_if(.., |end| *end <= now).collect();
        done.sort_by(f64::total_cmp);
        idle.extend(done.into_iter().map(|since| Idle { since, until: since + policy.keep_s() }));
        let mut memory_s = 0.0;
        for gone in idle.extract_if(.., |instance| instance.until <= now) {
            memory_s += gone.until - gone.since;
            stopped.push(gone.since);
        }
        stopped.sort_by(f64::total_cmp);
        let too_many = stopped.len().saturating_sub(16);
        stopped.drain(..too_many);
        memory_s
    };
    for (at, run) in calls {
        cost.memory_mb_s += function.memory_mb * settle(at, &mut busy, &mut idle, &mut stopped, &policy);
        cost.calls += 1;
        let wait_ms = match idle.pop() {
            Some(instance) => {
                cost.memory_mb_s += function.memory_mb * (at - instance.since);
                policy.idle_for(at - instance.since);
                0.0
            }
            None => {
                if let Some(since) = stopped.pop() {
                    policy.idle_for(at - since);
                }
                cost.cold += 1;
                cold_start_ms
            }
        };
        cost.waits_ms.push(wait_ms);
        busy.push(at + wait_ms / 1e3 + run);
    }
    cost.memory_mb_s += function.memory_mb * settle(f64::INFINITY, &mut busy, &mut idle, &mut stopped, &policy);
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
        let worth = Worth {
            cold_start: Duration::from_secs(600),
            keep_min: Duration::from_secs(1),
            keep_max: Duration::from_secs(3600),
        };
        let calls: Vec<(f64, f64)> = (0..1000).map(|n| (f64::from(n) * 10.0, 0.1)).collect();
        let policy = Policy::Sampan { experience: Experience::default(), worth };
        let (learned, fixed) = (cost(&calls, policy), cost(&calls, Policy::Fixed(600.0)));
        assert_eq!((learned.cold, fixed.cold), (1, 1));
        assert!(learned.memory_mb_s < fixed.memory_mb_s - 500.0 * 100.0);
    }
}
